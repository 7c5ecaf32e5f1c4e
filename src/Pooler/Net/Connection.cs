using System.Net;

namespace Pooler.Net;

/// <summary>
/// One socket of one I/O thread: an input, an outbox, an end. A broken or closed connection is told to its reader, which
/// is the one to clean up.
/// </summary>
internal sealed class Connection : PollTarget
{
    // Whatever ran before this process, or runs beside it, counts elsewhere: an id is found in one log only.
    private static long s_lastId = (long)(BitConverter.ToUInt32(Syscalls.RandomBytes(sizeof(uint))) >> 1 | 1) << 32;

    private bool _closeWhenDrained, _isShutDown;
    private LingerTimer? _linger;

    public Connection(IoThread owner, int fd)
    {
        Owner = owner;
        Fd = fd;
        Input = new ConnectionInput(this);
        Outbox = Wire = new SocketOutbox(this);
    }

    /// <summary>Tells it from every other connection, of other processes too.</summary>
    public long Id { get; } = Interlocked.Increment(ref s_lastId);

    /// <summary>The I/O thread this connection belongs to at the moment.</summary>
    public IoThread Owner { get; private set; }

    public int Fd { get; }

    public ConnectionInput Input { get; }

    /// <summary>What its author writes to; another one as soon as TLS is up.</summary>
    public Outbox Outbox { get; private set; }

    /// <summary>TLS, once its handshake is through; null: there is none.</summary>
    public TlsSession? Tls { get; private set; }

    /// <summary>What the socket gets: the same as <see cref="Outbox"/>, or its records.</summary>
    internal SocketOutbox Wire { get; }

    public bool IsClosed { get; private set; }

    /// <summary>The connect of an outgoing connection has not ended yet.</summary>
    public bool IsConnecting { get; private set; }

    /// <summary>The errno that broke the connection; 0 when none did.</summary>
    public int Error { get; private set; }

    /// <summary>The thread's clock when the kernel last took bytes of ours, in microseconds.</summary>
    public long LastProgress { get; private set; }

    /// <summary>There may be bytes to receive: set by the event, cleared by a short read.</summary>
    internal bool Readable { get; set; }

    /// <summary>The peer has ended its side, or both are gone; what it sent before may still be unread.</summary>
    internal bool HasHungUp { get; private set; }

    /// <summary>Its reader is parked, nothing is unread or unsent: it may change its thread.</summary>
    internal bool MayLeave => !IsClosed && !IsConnecting && !HasHungUp && Outbox.Pending == 0 && Input.IsParkedEmpty;

    /// <summary>What io_uring delivered ahead of the reader; epoll has no use for it.</summary>
    internal ReceivedChunks Received => field ??= new ReceivedChunks();

    /// <summary>Starts a non-blocking connect. Returns null and the errno when it fails at once.</summary>
    public static Connection? Connect(IoThread owner, SocketAddress address, SocketOptions options, out int error)
    {
        int fd = Syscalls.Socket((int)address.Family == 1 ? Syscalls.AF_UNIX : NativeFamily(address));
        if (fd < 0)
        {
            error = -fd;
            return null;
        }

        options.Apply(fd, address.Family == System.Net.Sockets.AddressFamily.Unix);
        int result = Syscalls.Connect(fd, address);
        var connection = new Connection(owner, fd) { IsConnecting = result == -Syscalls.EINPROGRESS };
        if (result < 0 && result != -Syscalls.EINPROGRESS)
        {
            Syscalls.Close(fd);
            error = -result;
            return null;
        }

        error = -connection.Open();
        return error == 0 ? connection : null;
    }

    /// <summary>From here on everything goes through TLS, both ways.</summary>
    internal void BeginTls(TlsSession tls)
    {
        Tls = tls;
        Outbox = new TlsOutbox(this, tls);
        Readable = true; // Whatever came behind the handshake is within it, or still in the socket: nothing else would tell.
        Input.ScheduleResume();
    }

    /// <summary>As recv: what the peer has sent, behind TLS where there is TLS.</summary>
    internal int Receive(byte[] block, int start) =>
        Tls == null ? Owner.Engine.Receive(this, block.AsSpan(start)) : Tls.Receive(block.AsMemory(start));

    /// <summary>Registers the socket with its thread. Returns 0 or the negative errno; on failure the socket is closed.</summary>
    public int Open()
    {
        CheckThread();
        int result = Owner.Engine.Add(Fd, this);
        if (result < 0)
        {
            IsClosed = true;
            Input.Complete();
            Syscalls.Close(Fd);
            return result;
        }

        Owner.Counters.Connections++;
        LastProgress = Owner.Now;
        return 0;
    }

    /// <summary>Closes at once: what is pending is dropped, the reader is told.</summary>
    public void Close()
    {
        if (IsClosed)
        {
            return;
        }

        CheckThread();
        Wire.SendLast();
        IsClosed = true;
        if (_linger != null)
        {
            Owner.Wheel.Clear(_linger);
        }

        Owner.Engine.Close(Fd, this);
        Owner.Counters.Connections--;
        Outbox.Clear();
        Tls?.Dispose();
        Input.End();
    }

    /// <summary>
    /// Sends what is pending, then ends our side and waits a little for the peer to end its own: closing a socket with unread
    /// input would make the kernel reset the connection and lose the error message we sent. To be called by the reader as its last act.
    /// </summary>
    public void CloseGracefully()
    {
        if (IsClosed)
        {
            return;
        }

        Input.Complete();
        Outbox.Flush();
        Tls?.SayGoodbye();
        if (IsClosed)
        {
            return;
        }

        _closeWhenDrained = true;
        _linger = new LingerTimer(this);
        Owner.Wheel.Set(_linger, Owner.Now + 2_000_000);
        EndIfDrained();
    }

    /// <summary>
    /// Lets go of its thread, if its reader is parked and nothing is unread or unsent: then <see cref="Attach"/> must follow.
    /// The answer comes at once from epoll, behind the end of the armed receive from io_uring.
    /// </summary>
    public void Detach(Action<bool> done)
    {
        CheckThread();
        if (!MayLeave)
        {
            done(false);
            return;
        }

        Owner.Engine.Release(this, released =>
        {
            Owner.Counters.Connections -= released ? 1 : 0;
            done(released);
        });
    }

    /// <summary>Goes on on another thread, which is the current one. What arrived in between is reported by the registration.</summary>
    public void Attach(IoThread thread)
    {
        Owner = thread;
        Readable = false;
        if (Open() < 0)
        {
            Input.End();
        }
    }

    /// <summary>Who the peer's proxy says the peer is (PROXY protocol); null: the peer is who the kernel says.</summary>
    public System.Net.IPEndPoint? ProxiedPeer { get; set; }

    /// <summary>The name of the peer or of our own end: address and port, or "unix".</summary>
    public (string Address, int Port) Name(bool peer) =>
        EndpointText.Describe(peer && ProxiedPeer != null ? ProxiedPeer.Serialize() : IsClosed ? null : Syscalls.Name(Fd, peer));

    /// <summary>The peer's address and port, for the log.</summary>
    public string PeerAddress
    {
        get
        {
            (string address, int port) = Name(peer: true);
            return EndpointText.Join(address, port);
        }
    }

    /// <summary>The process at the other end of a Unix socket (0: not known); null over TCP, and when the connection is closed.</summary>
    public int? PeerProcess => !IsClosed && Name(peer: false) is ("unix", 0) ? Syscalls.PeerProcess(Fd) : null;

    /// <summary>Entry points call this: a connection is touched on its own thread only.</summary>
    public void CheckThread()
    {
        if (!Owner.IsCurrent)
        {
            IoThread.Defect("A connection was touched off its I/O thread");
            throw new InvalidOperationException("A connection was touched off its I/O thread.");
        }
    }

    /// <summary>
    /// A send failed: nothing goes out any more, but what the peer said before it closed (its FATAL) may still be unread. The
    /// reader finds it, and then the end: ours, should the peer know of nothing (the kernel had no memory for our bytes).
    /// </summary>
    internal void BreakSending(int errno)
    {
        if (Error == 0)
        {
            Error = errno;
        }

        Syscalls.ShutdownBoth(Fd);
        HasHungUp = Readable = true;
        Outbox.Clear();
        Input.ScheduleResume();
    }

    internal void Break(int errno)
    {
        if (Error == 0)
        {
            Error = errno;
        }

        HasHungUp = true;
        Outbox.Clear();
        Input.End();
    }

    /// <summary>A send has ended: what waits for an empty outbox goes on.</summary>
    internal void AfterSend()
    {
        if (_closeWhenDrained && !IsClosed)
        {
            EndIfDrained();
        }
    }

    internal void Progress() => LastProgress = Owner.Now;

    internal override void OnEvents(uint events)
    {
        const uint end = Syscalls.EPOLLRDHUP | Syscalls.EPOLLHUP | Syscalls.EPOLLERR;
        if ((events & (Syscalls.EPOLLIN | end)) != 0)
        {
            Readable = true;
            HasHungUp |= (events & end) != 0;
        }

        if (IsConnecting && (events & (Syscalls.EPOLLOUT | end)) != 0)
        {
            FinishConnect();
            return;
        }

        if (Wire.IsBlocked && (events & (Syscalls.EPOLLOUT | end)) != 0)
        {
            Wire.OnWritable();
        }

        if (_closeWhenDrained)
        {
            EndIfDrained();
            return;
        }

        if (Readable)
        {
            Input.ResumeIfReady();
        }
    }

    internal override void Run()
    {
        if (_closeWhenDrained && !IsClosed)
        {
            EndIfDrained();
        }
        else
        {
            Input.ResumeIfReady();
        }
    }

    private static int NativeFamily(SocketAddress address) =>
        address.Family == System.Net.Sockets.AddressFamily.InterNetworkV6 ? Syscalls.AF_INET6 : Syscalls.AF_INET;

    private void FinishConnect()
    {
        IsConnecting = false;
        int error = Syscalls.PendingError(Fd);
        if (error != 0)
        {
            Break(error);
        }
        else
        {
            Input.Wake();
        }
    }

    private void EndIfDrained()
    {
        if (Outbox.Pending > 0)
        {
            return;
        }

        if (!_isShutDown)
        {
            _isShutDown = true; // Once: each shutdown makes an event of its own.
            Syscalls.ShutdownWrite(Fd);
        }

        byte[] block = Owner.Blocks.Rent();
        int result = 1;
        for (int reads = 0; result > 0 && reads < 16; reads++)
        {
            result = Owner.Engine.Receive(this, block);
        }

        Owner.Blocks.Return(block);
        if (result is 0 or (< 0 and not -Syscalls.EAGAIN))
        {
            Close();
        }
        else if (result > 0)
        {
            Owner.Schedule(this);
        }
    }

    private sealed class LingerTimer(Connection connection) : WheelTimer
    {
        internal override void Expired() => connection.Close();
    }
}
