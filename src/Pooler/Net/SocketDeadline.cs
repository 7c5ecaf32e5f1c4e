namespace Pooler.Net;

/// <summary>Shuts a blocking socket down at its deadline, and never one that has been closed since: its number may be another's.</summary>
internal sealed class SocketDeadline : IDisposable
{
    private const int Open = 0, ShuttingDown = 1, Over = 2, Ended = 3;

    private Timer? _timer;
    private int _state;

    /// <summary>-1: there is none.</summary>
    public int Fd { get; private set; } = -1;

    public bool IsOver => Volatile.Read(ref _state) is ShuttingDown or Over;

    public void Begin(int fd, TimeSpan limit)
    {
        Fd = fd;
        _timer = new Timer(static deadline => ((SocketDeadline)deadline!).Strike(), this, limit, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Now the socket may be closed, by whoever has it.</summary>
    public void Dispose()
    {
        _timer?.Dispose();
        if (Interlocked.CompareExchange(ref _state, Ended, Open) != Open)
        {
            SpinWait.SpinUntil(() => Volatile.Read(ref _state) != ShuttingDown);
        }
    }

    private void Strike()
    {
        if (Interlocked.CompareExchange(ref _state, ShuttingDown, Open) == Open)
        {
            Syscalls.ShutdownBoth(Fd);
            Volatile.Write(ref _state, Over);
        }
    }
}
