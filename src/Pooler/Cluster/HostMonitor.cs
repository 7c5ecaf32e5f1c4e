using Npgsql;
using Pooler.Backend;
using Pooler.Net;

namespace Pooler.Cluster;

/// <summary>
/// Asks one host again and again, one probe at a time: each health_check_interval, and more often while somebody waits for what it
/// says. Runs on ordinary threads.
/// </summary>
internal sealed class HostMonitor(HostCluster cluster, int index, HostNames names, ServerPasswords passwords) : IDisposable
{
    /// <summary>However often it is woken (µs).</summary>
    private const long LeastPeriod = 5_000;

    private readonly SemaphoreSlim _woken = new(0);
    private int _isWoken, _isDozing;

    /// <summary>It is in a long pause: who wants an answer soon has to wake it.</summary>
    public bool IsDozing => Volatile.Read(ref _isDozing) != 0;

    /// <summary>Ends the pause of the moment, on any thread; a probe that runs is followed by another at once.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref _isWoken, 1) == 0)
        {
            _woken.Release();
        }
    }

    public async Task RunAsync(CancellationToken end)
    {
        await using var probe = new HostProbe(cluster.Config, cluster.Config.Hosts[index], names, passwords);
        while (!end.IsCancellationRequested)
        {
            Interlocked.Exchange(ref _isWoken, 0); // Who wakes it from now on wants an answer asked for later than this.
            long asked = IoThread.Clock();
            await AskAsync(probe, asked, end).ConfigureAwait(false);
            await PauseAsync(asked, end).ConfigureAwait(false);
        }
    }

    public void Dispose() => _woken.Dispose();

    private async Task AskAsync(HostProbe probe, long asked, CancellationToken end)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(end);
        deadline.CancelAfter(Patience(asked));
        try
        {
            bool isTrial = cluster.State.Hosts[index].Health is { State: HealthState.Ejected, NextTry: var next } && asked >= next;
            if (isTrial)
            {
                probe.Disconnect(); // Whether it takes connections is what is to be seen.
            }

            HostAnswer answer = await probe.AskAsync(cluster.Config.HealthCheckInterval, deadline.Token).ConfigureAwait(false);
            cluster.Answered(index, answer, isTrial);
        }
        catch (PostgresException full) when (full.SqlState == PostgresErrorCodes.TooManyConnections)
        {
            cluster.Refused(index, full.MessageText);
        }
        catch (Exception fault) // Of whatever kind: a monitor that ended would leave its host as it was last seen.
        {
            if (!end.IsCancellationRequested)
            {
                cluster.Failed(index, deadline.IsCancellationRequested ? "no answer within health_check_timeout" : Innermost(fault).Message);
            }
        }
    }

    /// <summary>
    /// health_check_timeout counts from the last answer, so that silence is noticed within it; a probe has a third of it in any case.
    /// </summary>
    private TimeSpan Patience(long asked)
    {
        TimeSpan timeout = cluster.Config.HealthCheckTimeout;
        HostState host = cluster.State.Hosts[index];
        TimeSpan left = timeout - TimeSpan.FromMicroseconds(asked - host.SeenAt);
        return !host.IsUp ? timeout : left > timeout / 3 ? left : timeout / 3;
    }

    private async Task PauseAsync(long asked, CancellationToken end)
    {
        long due = asked + cluster.PeriodOf(index, out bool isLong);
        if (isLong)
        {
            // Who wants a sample says so first and looks at this mark then; here it is the other way round, so one sees the other.
            Interlocked.Exchange(ref _isDozing, 1);
            due = Math.Min(due, asked + cluster.PeriodOf(index, out _));
        }

        if (due - IoThread.Clock() is var pause and > 0)
        {
            await _woken.WaitAsync(TimeSpan.FromMicroseconds(pause), end).ContinueWith(static _ => { }, TaskScheduler.Default).ConfigureAwait(false);
        }

        Volatile.Write(ref _isDozing, 0);
        if (asked + LeastPeriod - IoThread.Clock() is var rest and > 0)
        {
            await Task.Delay(TimeSpan.FromMicroseconds(rest), end).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static Exception Innermost(Exception fault) => fault.InnerException is { } inner ? Innermost(inner) : fault;
}
