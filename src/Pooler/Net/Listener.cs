using System.Net;
using System.Net.Sockets;

namespace Pooler.Net;

/// <summary>
/// A listening socket on an I/O thread. What it accepts goes to the handler given by Program. When descriptors run out it
/// stops accepting for a second, says so once, and goes on.
/// </summary>
internal sealed class Listener : PollTarget
{
    // As many as one turn takes: the rest is still readable (level-triggered) in the next.
    private const int AcceptsPerTurn = 64;
    private const long PauseMicroseconds = 1_000_000;

    // Who has begun to connect comes to its end in that time; who is not heard in it asks again after a second (TCP's first timeout).
    private const long LastConnectsMicroseconds = 500_000;
    private const long LastAcceptsMicroseconds = 50_000;

    private readonly IoThread _owner;
    private readonly Action<int, Listener> _accepted;
    private readonly Action<string> _warn;
    private readonly int _fd;
    private readonly ResumeTimer _resume;
    private bool _isShared;
    private bool _exhausted, _closed;

    private Listener(IoThread owner, int fd, string name, bool isUnix, Action<int, Listener> accepted, Action<string> warn)
    {
        _owner = owner;
        _fd = fd;
        Name = name;
        IsUnix = isUnix;
        _accepted = accepted;
        _warn = warn;
        _resume = new ResumeTimer(this);
    }

    /// <summary>The address as the log shows it.</summary>
    public string Name { get; }

    public bool IsUnix { get; }

    /// <summary>Binds and listens, or gives the errno of what failed; accepting begins with <see cref="Start"/>.</summary>
    /// <param name="bound">Called in between: nobody can connect yet.</param>
    public static Listener? Create(
        IoThread owner, EndPoint endpoint, int backlog, bool deferAccept, Action<int, Listener> accepted, Action<string> warn, out int errno,
        bool reusePort = false, Action? bound = null)
    {
        bool isUnix = endpoint.AddressFamily == AddressFamily.Unix;
        int family = isUnix ? Syscalls.AF_UNIX : endpoint.AddressFamily == AddressFamily.InterNetworkV6 ? Syscalls.AF_INET6 : Syscalls.AF_INET;
        int fd = Syscalls.Socket(family);
        int result = fd;
        if (fd >= 0)
        {
            Syscalls.SetOption(fd, 1, 2, 1); // SOL_SOCKET, SO_REUSEADDR: a restart does not wait for old connections to time out
            if (!isUnix && reusePort)
            {
                Syscalls.SetOption(fd, 1, 15, 1); // SOL_SOCKET, SO_REUSEPORT: another process may listen there, too (so_reuseport)
            }

            if (family == Syscalls.AF_INET6)
            {
                Syscalls.SetOption(fd, 41, 26, 1); // IPPROTO_IPV6, IPV6_V6ONLY: the IPv4 wildcard is bound by itself
            }

            if (!isUnix && deferAccept)
            {
                Syscalls.SetOption(fd, 6, 9, 45); // IPPROTO_TCP, TCP_DEFER_ACCEPT: wakes with the startup packet (PgBouncer's 45 s)
            }

            result = Syscalls.Bind(fd, endpoint.Serialize());
            if (result >= 0)
            {
                bound?.Invoke();
                result = Syscalls.Listen(fd, backlog);
            }
        }

        if (result < 0)
        {
            errno = -result;
            if (fd >= 0)
            {
                Syscalls.Close(fd);
            }

            return null;
        }

        errno = 0;
        return new Listener(owner, fd, endpoint.ToString()!, isUnix, accepted, warn);
    }

    /// <summary>A socket that somebody else has bound for us (systemd's LISTEN_FDS); null when it is none.</summary>
    public static Listener? Adopt(IoThread owner, int fd, Action<int, Listener> accepted, Action<string> warn)
    {
        if (Syscalls.Name(fd, peer: false) is not { } address)
        {
            return null;
        }

        Syscalls.Adopt(fd);
        (string name, int port) = EndpointText.Describe(address);
        bool isUnix = address.Family == AddressFamily.Unix;
        return new Listener(owner, fd, isUnix ? name : EndpointText.Join(name, port), isUnix, accepted, warn) { _isShared = true };
    }

    /// <summary>What it accepts from now on has these, unless it is a Unix socket; on the owner's thread.</summary>
    public void HandDown(SocketOptions options)
    {
        if (!_closed && !IsUnix)
        {
            options.HandDown(_fd);
        }
    }

    public void Start() => _owner.Post(() => _owner.Engine.Add(_fd, this));

    /// <summary>
    /// Stops listening and loses nobody who is on the way; on the owner's thread. The kernel resets what waits in the queue of a closed
    /// listener, even if another process listens there (so_reuseport), unless net.ipv4.tcp_migrate_req is set. So with others there the
    /// listener first hears of no more connections, then of nothing, and everything that came before is accepted.
    /// </summary>
    public void Retire(bool othersListen, Action closed)
    {
        if (_isShared)
        {
            Close(); // Its queue is for whoever gets it next, and it must not become deaf.
        }
        else if (othersListen && !_closed)
        {
            int result = Syscalls.Deafen(_fd, toAll: false);
            if (result >= 0)
            {
                new RetireTimer(this, closed).Arm(LastConnectsMicroseconds);
                return;
            }

            _warn($"the kernel lets this user attach no socket filter ({Syscalls.ErrorText(-result)}): who is just connecting to {Name} may be reset; "
                + "give the process CAP_NET_ADMIN, or set net.ipv4.tcp_migrate_req = 1");
        }

        AcceptLast();
        closed();
    }

    /// <summary>Stops listening at once; on the owner's thread.</summary>
    public void Close()
    {
        if (!_closed)
        {
            _closed = true;
            _owner.Wheel.Clear(_resume);
            _owner.Engine.Close(_fd, this);
        }
    }

    /// <summary>Takes what is in the queue, and closes.</summary>
    private void AcceptLast()
    {
        while (!_closed && OnAccept(Syscalls.Accept(_fd)))
        {
        }

        Close();
    }

    internal override void OnEvents(uint events)
    {
        for (int n = 0; n < AcceptsPerTurn && !_closed; n++)
        {
            if (!OnAccept(Syscalls.Accept(_fd)))
            {
                return;
            }
        }
    }

    /// <summary>Takes an accepted descriptor or the negative errno; false when accepting stops for now.</summary>
    internal bool OnAccept(int fd)
    {
        if (fd >= 0)
        {
            _exhausted = false;
            _owner.Counters.Accepted++;
            _accepted(fd, this);
            return true;
        }

        if (fd is -Syscalls.EMFILE or -Syscalls.ENFILE or -Syscalls.ENOBUFS or -Syscalls.ENOMEM)
        {
            Pause(-fd);
            return false;
        }

        return fd is -Syscalls.EINTR or -Syscalls.ECONNABORTED;
    }

    internal override void Run()
    {
    }

    private void Pause(int errno)
    {
        if (!_exhausted)
        {
            _exhausted = true;
            _warn($"accept on {Name} failed: {Syscalls.ErrorText(errno)}; accepting pauses until descriptors are free (raise the limit: ulimit -n, LimitNOFILE=)");
        }

        _owner.Engine.Remove(_fd, this);
        _owner.Wheel.Set(_resume, _owner.Now + PauseMicroseconds);
    }

    private sealed class RetireTimer(Listener listener, Action closed) : WheelTimer
    {
        private bool _hearsNothing;

        public void Arm(long pause) => listener._owner.Wheel.Set(this, listener._owner.Now + pause);

        internal override void Expired()
        {
            if (!_hearsNothing && Syscalls.Deafen(listener._fd, toAll: true) >= 0)
            {
                _hearsNothing = true;
                Arm(LastAcceptsMicroseconds); // io_uring reports what it has accepted a little later.
                return;
            }

            listener.AcceptLast();
            closed();
        }
    }

    private sealed class ResumeTimer(Listener listener) : WheelTimer
    {
        internal override void Expired() => listener._owner.Engine.Add(listener._fd, listener);
    }
}
