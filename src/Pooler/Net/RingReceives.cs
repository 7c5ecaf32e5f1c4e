namespace Pooler.Net;

/// <summary>
/// How connections on a ring receive. Small messages come by a multishot receive into provided buffers: no system call of their
/// own. A stream is read as epoll would, straight into its reader's block: there the bytes are what costs, not the calls, and a
/// ring would fill 32 buffers for one connection before another gets its turn.
/// </summary>
internal sealed class RingReceives(IoRing ring, Engine engine)
{
    // So many full buffers in a row make a stream of a connection, so many short reads end it.
    private const int FullForStream = 2, ShortForMessages = 8;

    private readonly List<Connection> _toArm = [];

    public void Begin(Connection connection)
    {
        connection.Received.Reset();
        Arm(connection);
    }

    /// <summary>The connection is about to be closed.</summary>
    public void End(Connection connection)
    {
        ReceivedChunks received = connection.Received;
        received.Clear(ring);
        if (received.Polls > 0)
        {
            Cancel(RingTag.Op.Poll, connection);
        }

        if (received.Released is { } waiting)
        {
            received.Released = null;
            waiting(false);
        }

        Syscalls.ShutdownBoth(connection.Fd); // Ends the armed receive, which would keep the socket open behind our close.
    }

    /// <summary>As recv.</summary>
    public int Take(Connection connection, Span<byte> buffer)
    {
        ReceivedChunks received = connection.Received;
        if (received is { IsStreaming: true, IsArmed: false, IsEmpty: true, IsEnded: false })
        {
            return TakeFromStream(connection, buffer);
        }

        int result = received.Take(ring, buffer);
        connection.Readable = !received.IsEmpty || received.IsEnded || received is { IsStreaming: true, IsArmed: false };
        if (received is { IsEmpty: true, IsArmed: false, IsEnded: false, IsStreaming: false })
        {
            Arm(connection);
        }

        return result;
    }

    /// <summary>Receives that ended by themselves, for want of buffers perhaps, which have come back since.</summary>
    public void Rearm()
    {
        foreach (Connection connection in _toArm)
        {
            if (connection is { IsClosed: false, Received: { IsArmed: false, IsEnded: false, IsBacklogged: false } } && engine.Owns(connection))
            {
                Arm(connection);
            }
        }

        _toArm.Clear();
    }

    /// <summary>Takes the connection out, to give it to another thread.</summary>
    public void Release(Connection connection, Action<bool> done)
    {
        ReceivedChunks received = connection.Received;
        EndHold(connection);
        if (received.IsArmed)
        {
            received.Released = done;
            Cancel(RingTag.Op.Receive, connection);
            return;
        }

        // It ended by itself, for want of buffers, and is about to be armed again; or it was a stream.
        bool isFree = received is { IsEmpty: true, IsEnded: false } && !connection.Readable;
        if (isFree)
        {
            EndStream(connection);
            engine.Forget(connection.Fd);
        }

        done(isFree);
    }

    /// <summary>A receive has brought something, or ended.</summary>
    public void Complete(Connection? connection, int result, uint flags)
    {
        bool hasBuffer = (flags & IoRing.CompletionHasBuffer) != 0;
        int buffer = (int)(flags >> 16);
        if (hasBuffer && (connection == null || result <= 0))
        {
            ring.ReturnBuffer(buffer);
        }

        if (connection == null)
        {
            return;
        }

        ReceivedChunks received = connection.Received;
        received.IsArmed &= (flags & IoRing.CompletionHasMore) != 0;
        if (result > 0)
        {
            received.Add(ring, buffer, result);
        }
        else if (!IsTransient(result))
        {
            received.End(result);
        }
        else if (received is { Released: not null, IsArmed: false, IsEmpty: true })
        {
            Leave(connection);
            return;
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

        if (!connection.IsClosed)
        {
            GoOn(connection, isFull: result == IoRing.BufferSize);
        }
    }

    /// <summary>A stream has become readable, or its peer has gone.</summary>
    public void CompletePoll(Connection connection, int result, uint flags)
    {
        ReceivedChunks received = connection.Received;
        if ((flags & IoRing.CompletionHasMore) == 0)
        {
            received.Polls--;
        }

        if (result < 0 && !IsTransient(result))
        {
            connection.Break(-result); // Nothing would tell its reader of what comes.
            return;
        }

        if (received is { IsStreaming: true, Polls: 0 })
        {
            Poll(connection);
        }

        if (result > 0)
        {
            connection.OnEvents((uint)result);
        }
    }

    /// <summary>The peer of a held connection has gone; or its watch has ended.</summary>
    public void CompleteHangUp(Connection connection, int result)
    {
        ReceivedChunks received = connection.Received;
        received.IsHangUpWatched = false;
        if (result > 0)
        {
            connection.OnEvents(Syscalls.EPOLLIN | Syscalls.EPOLLRDHUP);
        }
        else if (received is { IsBacklogged: true, IsStreaming: false })
        {
            Hold(connection); // Held again before the end of its last watch was known.
        }
    }

    /// <summary>A receive that ended so is armed again: no buffer or memory was there, or it was cancelled.</summary>
    private static bool IsTransient(int result) =>
        result is -Syscalls.ENOBUFS or -Syscalls.ECANCELED or -Syscalls.EAGAIN or -Syscalls.EINTR or -Syscalls.ENOMEM;

    private void GoOn(Connection connection, bool isFull)
    {
        ReceivedChunks received = connection.Received;
        received.Spill(ring);
        received.FullInRow = (byte)(isFull ? Math.Min(received.FullInRow + 1, FullForStream) : 0);
        if (received is { FullInRow: >= FullForStream, IsStreaming: false, IsEnded: false })
        {
            received.IsStreaming = true;
            if (received.IsArmed)
            {
                Cancel(RingTag.Op.Receive, connection);
            }
        }

        if (received is { IsStreaming: true, IsArmed: false, IsEnded: false })
        {
            if (received.Polls == 0)
            {
                Poll(connection);
            }
        }
        else if (received is { IsBacklogged: true, IsStreaming: false })
        {
            Hold(connection);
        }
        else if (received is { IsArmed: false, IsEnded: false })
        {
            _toArm.Add(connection);
        }
    }

    /// <summary>
    /// The receive was cancelled and has ended: nothing the kernel took stands before what is in the socket now.
    /// </summary>
    private int TakeFromStream(Connection connection, Span<byte> buffer)
    {
        ReceivedChunks received = connection.Received;
        int result;
        do
        {
            result = Syscalls.Receive(connection.Fd, buffer);
        }
        while (result == -Syscalls.EINTR);

        // The poll tells of what comes, once: a short read means drained, unless the end is still to be read.
        connection.Readable = result > 0 && (result == buffer.Length || connection.HasHungUp);
        bool isShort = result is > 0 and < IoRing.BufferSize && result < buffer.Length;
        received.ShortInRow = (byte)(isShort ? Math.Min(received.ShortInRow + 1, ShortForMessages) : 0);
        if (received.ShortInRow >= ShortForMessages && !connection.Readable)
        {
            EndStream(connection);
            Arm(connection);
        }

        return result;
    }

    private void EndStream(Connection connection)
    {
        ReceivedChunks received = connection.Received;
        received.FullInRow = received.ShortInRow = 0;
        if (received is { IsStreaming: true, Polls: > 0 })
        {
            Cancel(RingTag.Op.Poll, connection);
        }

        received.IsStreaming = false;
    }

    private void Arm(Connection connection)
    {
        EndHold(connection);
        connection.Received.IsArmed = true;
        ring.Receive(connection.Fd, RingTag.Of(RingTag.Op.Receive, connection));
    }

    private void Poll(Connection connection)
    {
        EndHold(connection);
        connection.Received.Polls++;
        ring.PollReadable(connection.Fd, RingTag.Of(RingTag.Op.Poll, connection));
    }

    private void Cancel(RingTag.Op op, Connection connection) =>
        ring.Cancel(RingTag.Of(op, connection), RingTag.Of(RingTag.Op.Cancel, connection));

    /// <summary>
    /// Back-pressure: nobody takes it, so no more is received until somebody does. Whether the peer leaves is still watched, as
    /// epoll does by itself.
    /// </summary>
    private void Hold(Connection connection)
    {
        ReceivedChunks received = connection.Received;
        if (received.IsArmed)
        {
            Cancel(RingTag.Op.Receive, connection);
        }

        if (received is { IsEnded: false, IsHangUpWatched: false })
        {
            received.IsHangUpWatched = true;
            ring.PollHangUp(connection.Fd, RingTag.Of(RingTag.Op.HangUp, connection));
        }
    }

    /// <summary>A watch would stay until the connection ends, and one more with each thread it visits.</summary>
    private void EndHold(Connection connection)
    {
        if (connection.Received.IsHangUpWatched)
        {
            Cancel(RingTag.Op.HangUp, connection);
        }
    }

    /// <summary>The receive has ended, so the connection may go to another thread, unless somebody has used it meanwhile.</summary>
    private void Leave(Connection connection)
    {
        Action<bool> released = connection.Received.Released!;
        connection.Received.Released = null;
        bool isFree = connection.MayLeave;
        if (isFree)
        {
            EndStream(connection);
            engine.Forget(connection.Fd);
        }
        else
        {
            GoOn(connection, isFull: false);
        }

        released(isFree);
    }
}
