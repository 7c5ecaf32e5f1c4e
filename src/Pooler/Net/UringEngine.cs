namespace Pooler.Net;

/// <summary>
/// io_uring: one ring, one system call a turn. A connection's receive is armed once and delivers into provided buffers;
/// what is to be sent is gathered and submitted with the next wait. Every completion is matched by descriptor and generation.
/// </summary>
internal sealed class UringEngine : Engine
{
    private const int Entries = 1024, Batch = 1024;

    private readonly IoRing _ring;
    private readonly RingReceives _receives;
    private readonly List<Connection> _toSend = [];
    private readonly (ulong Tag, int Result, uint Flags, bool IsFirst)[] _batch = new (ulong, int, uint, bool)[Batch];

    // Buffers the kernel still reads from although their connection is closed, by the tag of the send.
    private readonly Dictionary<ulong, byte[]> _orphans = [];

    internal UringEngine(IoRing ring)
    {
        _ring = ring;
        _receives = new RingReceives(ring, this);
    }

    public override string Name => "io_uring";

    public override bool SendsAtOnce => false;

    public override int BuffersOut => _ring.BuffersOut;

    public override int Orphans => _orphans.Count;

    /// <summary>Whether this kernel and sandbox allow a ring; the errno when not.</summary>
    public static bool IsAvailable(out int error)
    {
        Ring? ring = Ring.Create(8, out error);
        ring?.Close();
        return ring != null;
    }

    /// <summary>On the thread that will use it. Null and the errno where the kernel or its sandbox refuses.</summary>
    public static UringEngine? Create(out int error) => Ring.Create(Entries, out error) is { } ring ? new UringEngine(ring) : null;

    public override void Turn(IoThread thread, int timeout)
    {
        SubmitSends();
        _receives.Rearm();
        _ring.Enter(timeout);
        thread.ReadClock();
        int count = 0;
        while (count < Batch && _ring.TryTake(out ulong tag, out int result, out uint flags))
        {
            bool isFirst = Find(RingTag.FdOf(tag), RingTag.GenerationOf(tag)) is { DispatchFirst: true };
            _batch[count++] = (tag, result, flags, isFirst);
        }

        // Idle servers first (architecture rule 12): one that died must not be lent in the same batch. Who they are is settled
        // before anybody acts, so that the completions of one connection stay in their order.
        Dispatch(count, idleServers: true);
        Dispatch(count, idleServers: false);
    }

    public override int Receive(Connection connection, Span<byte> buffer) => _receives.Take(connection, buffer);

    public override void QueueSend(Connection connection) => _toSend.Add(connection);

    public override void SendNow(Connection connection)
    {
        if (!connection.IsClosed && connection.Wire.TakeOff(out byte[]? buffer, out int start, out int length))
        {
            _ring.Send(connection.Fd, buffer, start, length, RingTag.Of(RingTag.Op.Send, connection));
        }
    }

    public override void Release(Connection connection, Action<bool> done) => _receives.Release(connection, done);

    public override void Close() => _ring.Close();

    protected override int Watch(int fd, PollTarget target)
    {
        switch (target)
        {
            case Connection { IsConnecting: true }:
                _ring.PollWritable(fd, RingTag.Of(RingTag.Op.Poll, fd, target.Generation));
                break;
            case Connection connection:
                _receives.Begin(connection);
                break;
            case Listener:
                _ring.Accept(fd, RingTag.Of(RingTag.Op.Accept, fd, target.Generation));
                break;
            default:
                _ring.PollReadable(fd, RingTag.Of(RingTag.Op.Poll, fd, target.Generation));
                break;
        }

        return 0;
    }

    protected override bool ForgetsByClose => false;

    protected override void Unwatch(int fd, PollTarget target)
    {
        _ring.Flush(fd);
        switch (target)
        {
            case Connection connection:
                _receives.End(connection);
                break;
            case Listener:
                _ring.Cancel(RingTag.Of(RingTag.Op.Accept, fd, target.Generation), RingTag.Of(RingTag.Op.Cancel, fd, target.Generation));
                break;
            default:
                _ring.Cancel(RingTag.Of(RingTag.Op.Poll, fd, target.Generation), RingTag.Of(RingTag.Op.Cancel, fd, target.Generation));
                break;
        }
    }

    public override void Orphan(Connection connection, byte[] buffer) => _orphans[RingTag.Of(RingTag.Op.Send, connection)] = buffer;

    private void Dispatch(int count, bool idleServers)
    {
        for (int i = 0; i < count; i++)
        {
            (ulong tag, int result, uint flags, bool isFirst) = _batch[i];
            if (isFirst == idleServers)
            {
                Complete(tag, result, flags);
            }
        }
    }

    private void SubmitSends()
    {
        for (int i = 0; i < _toSend.Count; i++)
        {
            SendNow(_toSend[i]);
        }

        _toSend.Clear();
    }

    private void Complete(ulong tag, int result, uint flags)
    {
        PollTarget? target = Find(RingTag.FdOf(tag), RingTag.GenerationOf(tag));
        switch (RingTag.OpOf(tag))
        {
            case RingTag.Op.Receive:
                _receives.Complete(target as Connection, result, flags);
                break;
            case RingTag.Op.Send:
                if (target is Connection sender)
                {
                    sender.Wire.Landed(result);
                    sender.AfterSend();
                }
                else
                {
                    _orphans.Remove(tag);
                }

                break;
            case RingTag.Op.Poll:
                if (target is Connection { IsConnecting: true } connecting)
                {
                    CompleteConnect(connecting, result);
                }
                else if (target is Connection stream)
                {
                    _receives.CompletePoll(stream, result, flags);
                }
                else if (target != null)
                {
                    target.OnEvents(Syscalls.EPOLLIN);
                    if ((flags & IoRing.CompletionHasMore) == 0)
                    {
                        _ring.PollReadable(RingTag.FdOf(tag), tag);
                    }
                }

                break;
            case RingTag.Op.Accept:
                CompleteAccept(target as Listener, tag, result, flags);
                break;
            case RingTag.Op.HangUp:
                if (target is Connection left)
                {
                    _receives.CompleteHangUp(left, result);
                }

                break;
        }
    }

    private void CompleteConnect(Connection connection, int result)
    {
        if (result < 0)
        {
            connection.Break(-result); // The poll itself failed: the connect may go on for ever.
            return;
        }

        connection.OnEvents(Syscalls.EPOLLOUT);
        if (!connection.IsClosed && connection.Error == 0)
        {
            _receives.Begin(connection);
        }
    }

    private void CompleteAccept(Listener? listener, ulong tag, int result, uint flags)
    {
        if (listener == null)
        {
            if (result >= 0)
            {
                Syscalls.Close(result);
            }

            return;
        }

        // A listener that pauses or closes takes itself out; whatever else fails concerns one client (accept(2)).
        listener.OnAccept(result);
        if ((flags & IoRing.CompletionHasMore) == 0 && Find(RingTag.FdOf(tag), RingTag.GenerationOf(tag)) == listener)
        {
            _ring.Accept(RingTag.FdOf(tag), tag);
        }
    }
}
