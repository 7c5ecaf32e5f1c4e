using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// The end of the process, asked for by signal or console (src/main.c, handle_sigterm and its kin; src/janitor.c). PgBouncer leaves
/// idle clients connected to the last moment, and cuts who is there without a word; ours are told, so that drivers connect anew.
/// </summary>
/// <param name="stopListening">No more connections over TCP; the console stays to be reached over the Unix socket. Any thread.</param>
/// <param name="isListening">Who has begun to connect over TCP may still come.</param>
/// <param name="end">Ends the process; any thread.</param>
internal sealed class Shutdown(
    IoThread[] threads, LiveConfig live, Pools pools, SessionTable clients, ILogger log, Action stopListening, Func<bool> isListening, Action end)
{
    private const long PollMicroseconds = 50_000;

    // For the words to those who are cut.
    private const long LastWordsMicroseconds = 500_000;

    private readonly Lock _lock = new();
    private volatile StopMode _mode, _announced;
    private bool _hasEnded;

    public StopMode Mode => _mode;

    /// <summary>It has been asked for, even if it has not begun (shutdown_delay): nobody should be sent here any more.</summary>
    public bool IsLeaving => _mode != StopMode.None || _announced != StopMode.None;

    /// <summary>Just this is under way, or is about to be.</summary>
    public bool IsUnderWay(StopMode mode) => (_mode == StopMode.None ? _announced : _mode) == mode;

    private IoThread First => threads[0];

    private TimeSpan Limit => live.Current.Get(Settings.ShutdownTimeout);

    private TimeSpan Delay => live.Current.Get(Settings.ShutdownDelay);

    /// <summary>False when that much or more is under way already. From any thread.</summary>
    public bool Begin(StopMode mode)
    {
        lock (_lock)
        {
            if (mode != StopMode.Immediate && _mode == StopMode.None && Delay > TimeSpan.Zero)
            {
                return Announce(mode);
            }
        }

        return Enter(mode);
    }

    /// <summary>First only readiness ends (shutdown_delay). The one who asked first says when it goes on, the one who asked for most how.</summary>
    private bool Announce(StopMode mode)
    {
        bool isFirst = _announced == StopMode.None, isMore = mode > _announced;
        _announced = isMore ? mode : _announced;
        if (isFirst)
        {
            string text = $"shutdown_delay: no longer ready, and goes on in {Delay.TotalSeconds:0.###} s";
            log.Note(text);
            var wait = new DelayedEntry(this);
            First.Post(() => First.Wheel.Set(wait, First.Now + (long)Delay.TotalMicroseconds));
        }

        return isMore;
    }

    private bool Enter(StopMode mode)
    {
        bool isFirst;
        lock (_lock)
        {
            if (mode <= _mode)
            {
                return false;
            }

            isFirst = _mode == StopMode.None;
            _mode = mode;
        }

        if (isFirst)
        {
            stopListening();
        }

        if (mode == StopMode.WaitForServers)
        {
            pools.Pause(null);
        }

        threads[0].Post(new Watch(this, mode).Look);
        return true;
    }

    private bool IsOver(StopMode mode, long age) => mode switch
    {
        StopMode.WaitForClients => !isListening() && clients.Clients == 0,

        // Logins that wait for the first server of a pool are not waited for.
        StopMode.WaitForServers => clients.Clients <= clients.Logins && pools.OpenServers(null) == 0,
        _ => clients.Clients <= clients.Logins || age >= LastWordsMicroseconds,
    };

    private void EndSessions(StopMode mode)
    {
        foreach (IoThread thread in threads)
        {
            thread.Post(() =>
            {
                foreach (ClientSession session in clients.OfCurrentThread())
                {
                    if (mode == StopMode.Immediate)
                    {
                        session.EndByForce(SessionErrors.Stopping.Fields());
                    }
                    else
                    {
                        session.EndIfFree(SessionErrors.StoppingGently.Fields());
                    }
                }
            });
        }
    }

    private void Warn(string text) => log.Warn(text);

    private void End(StopMode mode)
    {
        lock (_lock)
        {
            if (_hasEnded)
            {
                return;
            }

            _hasEnded = true;
        }

        log.Note(mode switch
        {
            StopMode.WaitForClients => "client connections dropped, exiting",
            StopMode.WaitForServers => "server connections dropped, exiting",
            _ => "fast exit",
        });
        end();
    }

    /// <summary>The end of shutdown_delay; on I/O thread 0.</summary>
    private sealed class DelayedEntry(Shutdown shutdown) : WheelTimer
    {
        internal override void Expired() => shutdown.Enter(shutdown._announced);
    }

    /// <summary>Looks again and again whether one step of the stop is through; on I/O thread 0.</summary>
    private sealed class Watch(Shutdown shutdown, StopMode mode) : WheelTimer
    {
        private readonly IoThread _thread = shutdown.First;
        private long _since;

        internal override void Expired() => Look();

        public void Look()
        {
            _since = _since == 0 ? _thread.Now : _since;
            long age = _thread.Now - _since;
            if (shutdown._mode != mode)
            {
                return; // A further step has begun.
            }

            if (shutdown.IsOver(mode, age))
            {
                shutdown.End(mode);
                return;
            }

            if (mode != StopMode.WaitForClients)
            {
                shutdown.EndSessions(mode);
            }

            TimeSpan limit = shutdown.Limit;
            if (mode != StopMode.Immediate && limit > TimeSpan.Zero && age >= (long)limit.TotalMicroseconds)
            {
                shutdown.Warn(mode == StopMode.WaitForClients
                    ? "shutdown_timeout: clients are still there: no more transactions begin"
                    : "shutdown_timeout: transactions are still open: fast exit");
                shutdown.Enter(mode + 1);
                return;
            }

            _thread.Wheel.Set(this, _thread.Now + PollMicroseconds);
        }
    }
}
