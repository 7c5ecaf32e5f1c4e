using System.Diagnostics;
using Pooler.Net;

namespace Pooler.LoadGenerator;

/// <summary>
/// The generator's own epoll loop, one thread. It shares system calls with the pooler but not its I/O thread: a change to what
/// is measured must not change the ruler.
/// </summary>
internal sealed class EventLoop
{
    private const int Batch = 256;
    private const uint Interest = Syscalls.EPOLLIN | Syscalls.EPOLLOUT | Syscalls.EPOLLRDHUP | Syscalls.EPOLLET;
    private const long LongestWait = 1_000_000_000;

    private readonly int _epoll = Syscalls.EpollCreate();
    private readonly byte[] _events = GC.AllocateArray<byte>(Batch * Syscalls.EpollEventSize, pinned: true);
    private readonly Queue<WireClient> _again = new();
    private WireClient?[] _byFd = new WireClient?[1024];
    private uint _generation;

    /// <summary>A monotonic clock in nanoseconds.</summary>
    public static long Now => Stopwatch.GetTimestamp() * (1_000_000_000 / Stopwatch.Frequency);

    /// <summary>Everybody receives into it; nothing is kept there from one event to the next.</summary>
    public byte[] ReceiveBuffer { get; } = GC.AllocateUninitializedArray<byte>(64 * 1024, pinned: true);

    /// <summary>The same for what was decrypted.</summary>
    public byte[] PlainBuffer { get; } = new byte[16 * 1024];

    public TimingWheel Wheel { get; } = new();

    /// <summary>Says when clients ask, if they do so at a fixed rate.</summary>
    public Pacer? Pacer { get; set; }

    public int LoginsInFlight { get; set; }

    public int OpenClients { get; private set; }

    public long Errors { get; private set; }

    public string FirstError { get; private set; } = "";

    public void Failed(string error)
    {
        FirstError = Errors++ == 0 ? error : FirstError;
    }

    public uint Register(int fd, WireClient client)
    {
        if (fd >= _byFd.Length)
        {
            Array.Resize(ref _byFd, Math.Max(fd + 1, _byFd.Length * 2));
        }

        _byFd[fd] = client;
        OpenClients++;
        _generation++;
        int result = Syscalls.EpollAdd(_epoll, fd, Interest, ((ulong)_generation << 32) | (uint)fd);
        return result >= 0 ? _generation : throw new LoadException("epoll_ctl: " + Syscalls.ErrorText(-result));
    }

    /// <summary>Closes the descriptor; events of it that are still in the batch reach nobody.</summary>
    public void Close(int fd)
    {
        _byFd[fd] = null;
        OpenClients--;
        Syscalls.Close(fd);
    }

    /// <summary>The client had more to read than one turn allows: it goes on in the next.</summary>
    public void Again(WireClient client) => _again.Enqueue(client);

    /// <summary>Turns until the deadline, or until the condition holds. Returns whether it holds.</summary>
    public bool RunUntil(long deadline, Func<bool> done)
    {
        while (!done())
        {
            if (!Turn(deadline))
            {
                return false;
            }
        }

        return true;
    }

    public void RunUntil(long deadline)
    {
        while (Turn(deadline))
        {
        }
    }

    /// <summary>Logs all of them in, some at once. What fails is counted in <see cref="Errors"/>.</summary>
    public void LogIn(IReadOnlyList<WireClient> clients, LoadTarget target)
    {
        long deadline = Now + target.LoginLimit;
        for (int next = 0; next < clients.Count || LoginsInFlight > 0;)
        {
            while (next < clients.Count && LoginsInFlight < target.ParallelLogins)
            {
                clients[next++].Start();
            }

            if (LoginsInFlight > 0 && !Turn(deadline))
            {
                Failed($"{LoginsInFlight} logins at {target.Name} did not end in time");
                return;
            }
        }
    }

    /// <summary>The same, and all of them must succeed.</summary>
    public void LogInOrThrow(IReadOnlyList<WireClient> clients, LoadTarget target)
    {
        LogIn(clients, target);
        if (Errors > 0)
        {
            throw new LoadException($"login at {target.Name}: {FirstError}");
        }
    }

    /// <summary>One wait and what it brought; false when the deadline has passed.</summary>
    private bool Turn(long deadline)
    {
        long now = Now;
        if (now >= deadline)
        {
            return false;
        }

        long timeout = Math.Min(deadline - now, LongestWait);
        int timer = Wheel.Timeout(now / 1000);
        timeout = _again.Count > 0 ? 0 : timer < 0 ? timeout : Math.Min(timer * 1_000_000L, timeout);
        timeout = Math.Min(timeout, Pacer == null ? timeout : Math.Max(Pacer.NextDue - now, 0));
        int count = Syscalls.EpollWaitPrecise(_epoll, _events, timeout);
        for (int i = 0; i < count; i++)
        {
            (uint events, ulong tag) = Syscalls.EpollEvent(_events, i);
            WireClient? client = _byFd[(int)(uint)tag];
            if (client != null && client.Generation == (uint)(tag >> 32))
            {
                client.OnEvents(events);
            }
        }

        for (int n = _again.Count; n > 0; n--)
        {
            _again.Dequeue().OnTurn();
        }

        Wheel.Turn(Now / 1000);
        Pacer?.Turn();
        return true;
    }
}
