namespace Pooler.Net;

/// <summary>
/// io_uring: one ring, one system call a turn. A connection's receive is armed once and delivers into provided buffers;
/// what is to be sent is gathered and submitted with the next wait. Every completion is matched by descriptor and generation.
/// </summary>
internal sealed class UringEngine : Engine
{
    private const int Entries = 1024, Batch = 1024;

    private enum Op : byte
    {
        Receive = 1,
        Send,
        Poll,
        Accept,
        Cancel,
        HangUp,
    }

    private readonly IoRing _ring;
    private readonly List<Connection> _toSend = [], _toArm = [];
    private readonly (ulong Tag, int Result, uint Flags)[] _batch = new (ulong, int, uint)[Batch];

    // Buffers the kernel still reads from although their connection is closed, by the tag of the send.
    private readonly Dictionary<ulong, byte[]> _orphans = [];

    internal UringEngine(IoRing ring) => _ring = ring;

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
        Rearm();
        _ring.Enter(timeout);
        thread.ReadClock();
        int count = 0;
        while (count < Batch && _ring.TryTake(out ulong tag, out int result, out uint flags))
        {
            _batch[count++] = (tag, result, flags);
        }

        // Idle servers first (architecture rule 12): one that died must not be lent in the same batch.
        for (int pass = count > 1 ? 0 : 1; pass < 2; pass++)
        {
            for (int i = 0; i < count; i++)
            {
                (ulong tag, int result, uint flags) = _batch[i];
                if (tag != 0 && (pass == 1 || Find(FdOf(tag), GenerationOf(tag)) is { DispatchFirst: true }))
                {
                    _batch[i].Tag = 0;
                    Complete(tag, result, flags);
                }
            }
        }
    }

    public override int Receive(Connection connection, Span<byte> buffer)
    {
        int result = connection.Received.Take(buffer);
        connection.Readable = !connection.Received.IsEmpty || connection.Received.IsEnded;
        if (connection.Received is { IsEmpty: true, IsArmed: false, IsEnded: false })
        {
            Arm(connection);
        }

        return result;
    }

    public override void QueueSend(Connection connection) => _toSend.Add(connection);

    public override void SendNow(Connection connection)
    {
        if (!connection.IsClosed && connection.Outbox.TakeOff(out byte[]? buffer, out int start, out int length))
        {
            _ring.Send(connection.Fd, buffer, start, length, Tag(Op.Send, connection.Fd, connection.Generation));
        }
    }

    public override void Release(Connection connection, Action<bool> done)
    {
        if (connection.Received.IsHangUpWatched)
        {
            // It would stay here until the connection ends, one more with each visit.
            Cancel(Op.HangUp, connection.Fd, connection.Generation);
        }

        if (!connection.Received.IsArmed)
        {
            // It ended by itself, for want of buffers, and is about to be armed again.
            bool isFree = connection.Received is { IsEmpty: true, IsEnded: false };
            if (isFree)
            {
                Forget(connection.Fd);
            }

            done(isFree);
            return;
        }

        connection.Received.Released = done;
        Cancel(Op.Receive, connection.Fd, connection.Generation);
    }

    public override void Close() => _ring.Close();

    protected override int Watch(int fd, PollTarget target)
    {
        switch (target)
        {
            case Connection { IsConnecting: true }:
                _ring.PollWritable(fd, Tag(Op.Poll, fd, target.Generation));
                break;
            case Connection connection:
                connection.Received.Reset(_ring);
                Arm(connection);
                break;
            case Listener:
                _ring.Accept(fd, Tag(Op.Accept, fd, target.Generation));
                break;
            default:
                _ring.PollReadable(fd, Tag(Op.Poll, fd, target.Generation));
                break;
        }

        return 0;
    }

    protected override void Unwatch(int fd, PollTarget target)
    {
        _ring.Flush(fd);
        switch (target)
        {
            case Connection connection:
                connection.Received.Clear();
                if (connection.Received.Released is { } waiting)
                {
                    connection.Received.Released = null;
                    waiting(false);
                }

                Syscalls.ShutdownBoth(fd); // Ends the armed receive, which would keep the socket open behind our close.
                break;
            case Listener:
                Cancel(Op.Accept, fd, target.Generation);
                break;
            default:
                Cancel(Op.Poll, fd, target.Generation);
                break;
        }
    }

    public override void Orphan(Connection connection, byte[] buffer) => _orphans[Tag(Op.Send, connection.Fd, connection.Generation)] = buffer;

    // 24 bits of descriptor, 8 of operation, 32 of generation.
    private static ulong Tag(Op op, int fd, uint generation) => ((ulong)generation << 32) | ((ulong)op << 24) | (uint)fd;

    private static int FdOf(ulong tag) => (int)(tag & 0xFFFFFF);

    private static uint GenerationOf(ulong tag) => (uint)(tag >> 32);

    private void Cancel(Op op, int fd, uint generation) => _ring.Cancel(Tag(op, fd, generation), Tag(Op.Cancel, fd, generation));

    private void SubmitSends()
    {
        for (int i = 0; i < _toSend.Count; i++)
        {
            SendNow(_toSend[i]);
        }

        _toSend.Clear();
    }

    private void Arm(Connection connection)
    {
        connection.Received.IsArmed = true;
        _ring.Receive(connection.Fd, Tag(Op.Receive, connection.Fd, connection.Generation));
    }

    /// <summary>Receives that ended for want of buffers, which have come back since.</summary>
    private void Rearm()
    {
        foreach (Connection connection in _toArm)
        {
            if (connection is { IsClosed: false, Received: { IsArmed: false, IsEnded: false, IsBacklogged: false } }
                && Find(connection.Fd, connection.Generation) == connection)
            {
                Arm(connection);
            }
        }

        _toArm.Clear();
    }

    private void Complete(ulong tag, int result, uint flags)
    {
        PollTarget? target = Find(FdOf(tag), GenerationOf(tag));
        switch ((Op)(byte)(tag >> 24))
        {
            case Op.Receive:
                CompleteReceive(target as Connection, result, flags);
                break;
            case Op.Send:
                if (target is Connection sender)
                {
                    sender.Outbox.Landed(result);
                    sender.AfterSend();
                }
                else
                {
                    _orphans.Remove(tag);
                }

                break;
            case Op.Poll:
                if (target is Connection { IsConnecting: true } connecting)
                {
                    CompleteConnect(connecting, result);
                }
                else if (target != null)
                {
                    target.OnEvents(Syscalls.EPOLLIN);
                    if ((flags & IoRing.CompletionHasMore) == 0)
                    {
                        _ring.PollReadable(FdOf(tag), tag);
                    }
                }

                break;
            case Op.Accept:
                CompleteAccept(target as Listener, tag, result, flags);
                break;
            case Op.HangUp:
                if (target is Connection left)
                {
                    left.Received.IsHangUpWatched = false;
                    if (result > 0)
                    {
                        left.OnEvents(Syscalls.EPOLLIN | Syscalls.EPOLLRDHUP);
                    }
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
            connection.Received.Reset(_ring);
            Arm(connection);
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
        if ((flags & IoRing.CompletionHasMore) == 0 && Find(FdOf(tag), GenerationOf(tag)) == listener)
        {
            _ring.Accept(FdOf(tag), tag);
        }
    }

    private void CompleteReceive(Connection? connection, int result, uint flags)
    {
        bool hasBuffer = (flags & IoRing.CompletionHasBuffer) != 0;
        int buffer = (int)(flags >> 16);
        if (connection == null)
        {
            if (hasBuffer)
            {
                _ring.ReturnBuffer(buffer);
            }

            return;
        }

        ReceivedChunks received = connection.Received;
        if ((flags & IoRing.CompletionHasMore) == 0)
        {
            received.IsArmed = false;
        }

        if (result > 0)
        {
            received.Add(buffer, result);
        }
        else
        {
            if (hasBuffer)
            {
                _ring.ReturnBuffer(buffer);
            }

            if (!IsTransient(result))
            {
                received.End(result);
            }
            else if (received is { Released: not null, IsArmed: false, IsEmpty: true })
            {
                Leave(connection);
                return;
            }
        }

        if (received.Released is { } kept)
        {
            received.Released = null;
            kept(false); // Something came before the cancel did: the connection stays.
        }

        if (!received.IsEmpty || received.IsEnded)
        {
            connection.OnEvents(received.IsEnded ? Syscalls.EPOLLIN | Syscalls.EPOLLRDHUP : Syscalls.EPOLLIN);
        }

        if (connection.IsClosed)
        {
            return;
        }

        received.Spill();
        if (received.IsBacklogged)
        {
            Hold(connection);
        }
        else if (received is { IsArmed: false, IsEnded: false })
        {
            _toArm.Add(connection);
        }
    }

    /// <summary>
    /// Back-pressure: nobody takes it, so no more is received until somebody does. Whether the peer leaves is still watched, as
    /// epoll does by itself.
    /// </summary>
    private void Hold(Connection connection)
    {
        ReceivedChunks received = connection.Received;
        if (received.IsArmed)
        {
            Cancel(Op.Receive, connection.Fd, connection.Generation);
        }

        if (received is { IsEnded: false, IsHangUpWatched: false })
        {
            received.IsHangUpWatched = true;
            _ring.PollHangUp(connection.Fd, Tag(Op.HangUp, connection.Fd, connection.Generation));
        }
    }

    /// <summary>A receive that ended so is armed again: no buffer or memory was there, or it was cancelled.</summary>
    private static bool IsTransient(int result) =>
        result is -Syscalls.ENOBUFS or -Syscalls.ECANCELED or -Syscalls.EAGAIN or -Syscalls.EINTR or -Syscalls.ENOMEM;

    /// <summary>The receive has ended, so the connection may go to another thread, unless somebody has used it meanwhile.</summary>
    private void Leave(Connection connection)
    {
        Action<bool> released = connection.Received.Released!;
        connection.Received.Released = null;
        bool isFree = connection.MayLeave;
        if (isFree)
        {
            Forget(connection.Fd);
        }
        else
        {
            _toArm.Add(connection);
        }

        released(isFree);
    }
}
