using System.Net.Sockets;
using System.Text;
using Pooler.Net;

namespace Pooler;

/// <summary>Tells systemd how we are (sd_notify(3)): NOTIFY_SOCKET; without it nothing. Nobody waits for it, and what cannot be sent is lost.</summary>
internal sealed class SystemdNotifier : IDisposable
{
    private readonly Socket? _socket;
    private readonly UnixDomainSocketEndPoint? _address;
    private Timer? _watchdog;

    public SystemdNotifier(IReadOnlyDictionary<string, string> environment)
    {
        if (environment.GetValueOrDefault("NOTIFY_SOCKET") is { Length: > 1 } path)
        {
            _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            _address = new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path);
        }
    }

    /// <summary>WATCHDOG_USEC: half as often, and only while every I/O thread still comes round.</summary>
    public void StartWatchdog(IReadOnlyDictionary<string, string> environment, IoThread[] threads)
    {
        bool isOurs = !environment.TryGetValue("WATCHDOG_PID", out string? id) || id == $"{Environment.ProcessId}";
        if (_socket != null && isOurs && long.TryParse(environment.GetValueOrDefault("WATCHDOG_USEC"), out long period) && period > 0)
        {
            _watchdog = new Timer(_ => AskThreads(threads), null, TimeSpan.Zero, TimeSpan.FromMicroseconds(period / 2.0));
        }
    }

    public void Ready() => Send("READY=1");

    /// <summary>Type=notify-reload wants to know when the reload began; <see cref="Ready"/> follows.</summary>
    public void Reloading() => Send($"RELOADING=1\nMONOTONIC_USEC={IoThread.Clock()}");

    public void Stopping() => Send("STOPPING=1");

    public void Dispose()
    {
        _watchdog?.Dispose();
        _socket?.Dispose();
    }

    private void AskThreads(IoThread[] threads)
    {
        int missing = threads.Length;
        foreach (IoThread thread in threads)
        {
            thread.Post(() =>
            {
                if (Interlocked.Decrement(ref missing) == 0)
                {
                    ThreadPool.QueueUserWorkItem(_ => Send("WATCHDOG=1"));
                }
            });
        }
    }

    private void Send(string text)
    {
        try
        {
            _socket?.SendTo(Encoding.UTF8.GetBytes(text), _address!);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Whoever listened is gone.
        }
    }
}
