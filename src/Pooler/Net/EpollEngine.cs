namespace Pooler.Net;

/// <summary>
/// epoll: a socket is registered once, edge-triggered for both directions, and never touched again until it is closed or
/// moved, so there is no epoll_ctl per query.
/// </summary>
internal sealed class EpollEngine : Engine
{
    private const int Batch = 256;
    private const uint Interest = Syscalls.EPOLLIN | Syscalls.EPOLLOUT | Syscalls.EPOLLRDHUP | Syscalls.EPOLLET;

    private readonly int _epoll;
    private readonly byte[] _events = GC.AllocateArray<byte>(Batch * Syscalls.EpollEventSize, pinned: true);

    public EpollEngine()
    {
        _epoll = Syscalls.EpollCreate();
        if (_epoll < 0)
        {
            throw new IOException("epoll_create1: " + Syscalls.ErrorText(-_epoll));
        }
    }

    public override string Name => "epoll";

    public override bool SendsAtOnce => true;

    public override void Turn(IoThread thread, int timeout)
    {
        int count = Math.Max(0, Syscalls.EpollWait(_epoll, _events, timeout));
        thread.ReadClock();

        // Idle servers first (architecture rule 12): one that died must not be lent in the same batch.
        if (count > 1)
        {
            Dispatch(count, idleServers: true);
        }

        Dispatch(count, idleServers: false);
    }

    // epoll(7), question 6. A child that is between fork and exec still has it; what epoll reports then finds no target.
    protected override bool ForgetsByClose => true;

    public override int Receive(Connection connection, Span<byte> buffer)
    {
        int result;
        do
        {
            result = Syscalls.Receive(connection.Fd, buffer);
        }
        while (result == -Syscalls.EINTR);

        // Edge-triggered: a short read means drained (epoll(7)), unless the peer has hung up and the end is still to be read.
        connection.Readable = result > 0 && (result == buffer.Length || connection.HasHungUp);
        return result;
    }

    public override void QueueSend(Connection connection) => throw new NotSupportedException("epoll sends at once");

    public override void SendNow(Connection connection) => throw new NotSupportedException("epoll sends at once");

    public override void Orphan(Connection connection, byte[] buffer) => throw new NotSupportedException("epoll sends at once");

    public override void Release(Connection connection, Action<bool> done)
    {
        Syscalls.EpollRemove(_epoll, connection.Fd);
        Forget(connection.Fd);
        done(true);
    }

    public override void Close() => Syscalls.Close(_epoll);

    protected override int Watch(int fd, PollTarget target)
    {
        ulong tag = ((ulong)target.Generation << 32) | (uint)fd;
        return Syscalls.EpollAdd(_epoll, fd, target is Connection ? Interest : Syscalls.EPOLLIN, tag);
    }

    protected override void Unwatch(int fd, PollTarget target) => Syscalls.EpollRemove(_epoll, fd);

    private void Dispatch(int count, bool idleServers)
    {
        for (int i = 0; i < count; i++)
        {
            (uint events, ulong tag) = Syscalls.EpollEvent(_events, i);
            if (events == 0)
            {
                continue;
            }

            PollTarget? target = Find((int)(uint)tag, (uint)(tag >> 32));
            if (target != null && (!idleServers || target.DispatchFirst))
            {
                Syscalls.ClearEpollEvent(_events, i); // A second pass over the batch finds it done.
                target.OnEvents(events);
            }
        }
    }
}
