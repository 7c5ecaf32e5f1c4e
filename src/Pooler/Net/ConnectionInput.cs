using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace Pooler.Net;

/// <summary>
/// The bytes a peer has sent, as a PipeReader over one block that is there only while bytes are. Its reader waits on a source of
/// our own that completes on the I/O thread. <see cref="Wake"/> (the pipe's CancelPendingRead) brings the reader back without data.
/// </summary>
internal sealed class ConnectionInput(Connection connection) : PipeReader, IValueTaskSource<ReadResult>, IValueTaskSource
{
    private enum Wait : byte
    {
        None,
        ForData,
        ForWake,
    }

    private byte[]? _block;
    private int _start, _end, _examined;
    private short _version;
    private Wait _wait;
    private bool _wakeRequested, _hangupSeen;
    private int _readsThisTurn;
    private long _turn;
    private Action<object?>? _continuation;
    private object? _continuationState;

    /// <summary>It takes a block only while max_lookahead_memory allows: clients, whose requests may have to wait.</summary>
    public bool IsBounded { get; set; }

    /// <summary>What was received and not yet consumed, always contiguous.</summary>
    public ReadOnlySpan<byte> Unread => _block.AsSpan(_start, _end - _start);

    public int UnreadLength => _end - _start;

    /// <summary>The peer has ended its stream, or the connection is broken or closed; nothing more will come.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>The block is full: no more is received until something is consumed.</summary>
    public bool IsFull => UnreadLength == BlockPool.BlockSize;

    /// <summary>The reader is parked, nothing is unread, nothing is scheduled: the connection may change its thread.</summary>
    public bool IsParkedEmpty => _wait == Wait.ForData && _block == null && !_wakeRequested && !connection.IsQueued;

    /// <summary>Consumes bytes from the front of <see cref="Unread"/>; what is left counts as looked at.</summary>
    public void Advance(int consumed)
    {
        _start += consumed;
        _examined = _end;
        if (_start == _end)
        {
            ReleaseBlock();
        }
    }

    /// <summary>The reader waits for something else than input: a short rest moves to a small buffer, the block is free for others.</summary>
    public void Shrink()
    {
        if (_block is { Length: BlockPool.BlockSize } && UnreadLength <= BlockPool.SmallSize)
        {
            Replace(connection.Owner.Blocks.RentSmall());
        }
    }

    /// <summary>Completes with unexamined bytes, at the end of the stream, or canceled by <see cref="Wake"/>.</summary>
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        connection.CheckThread();
        return IsDataReady() ? new ValueTask<ReadResult>(Result()) : new ValueTask<ReadResult>(this, Park(Wait.ForData));
    }

    /// <summary>As <see cref="ReadAsync"/>, for whoever looks at <see cref="Unread"/> itself; waits at less memory.</summary>
    public ValueTask WaitAsync() => WaitAsync(Wait.ForData);

    /// <summary>Completes canceled by <see cref="Wake"/>, or once when the peer hangs up; receives nothing.</summary>
    public ValueTask ParkAsync() => WaitAsync(Wait.ForWake);

    /// <summary>Brings the reader back from its wait, now or at its next one. From the run list, never inside the caller's frame.</summary>
    public void Wake()
    {
        _wakeRequested = true;
        ScheduleResume();
    }

    public override void CancelPendingRead() => Wake();

    public override bool TryRead(out ReadResult result)
    {
        bool ready = IsDataReady();
        result = ready ? Result() : default;
        return ready;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        if (_block != null)
        {
            _start = consumed.GetInteger();
            _examined = Math.Max(_start, examined.GetInteger());
            if (_start == _end)
            {
                ReleaseBlock();
            }
        }
    }

    /// <summary>The reader is done: its block goes back.</summary>
    public override void Complete(Exception? exception = null)
    {
        IsEnded = true;
        ReleaseBlock();
    }

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => Result();

    void IValueTaskSource.GetResult(short token) => Took();

    /// <summary>Of a wait, for the compiler's awaiters.</summary>
    public ValueTaskSourceStatus GetStatus(short token) =>
        token == _version && _wait != Wait.None ? ValueTaskSourceStatus.Pending : ValueTaskSourceStatus.Succeeded;

    /// <summary>
    /// Of a wait, for the compiler's awaiters. The flags ask for captured contexts; on an I/O thread there is only one place to go on,
    /// so they are ignored.
    /// </summary>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        _continuation = continuation;
        _continuationState = state;
    }

    /// <summary>The connection was closed or broke: the reader learns it from its run list.</summary>
    internal void End()
    {
        IsEnded = true;
        ScheduleResume();
    }

    private ValueTask WaitAsync(Wait wait)
    {
        connection.CheckThread();
        if (IsReady(wait))
        {
            Took();
            return ValueTask.CompletedTask;
        }

        return new ValueTask(this, Park(wait));
    }

    private short Park(Wait wait)
    {
        _wait = wait;
        return ++_version;
    }

    /// <summary>There may be something to read, or a reason to look.</summary>
    internal void ResumeIfReady()
    {
        if (_wait == Wait.None || !IsReady(_wait))
        {
            return;
        }

        _wait = Wait.None;
        Action<object?> continuation = _continuation!;
        object? state = _continuationState;
        _continuation = null;
        _continuationState = null;
        continuation(state);
    }

    internal void ScheduleResume()
    {
        if (_wait != Wait.None)
        {
            connection.Owner.Schedule(connection);
        }
    }

    private bool IsReady(Wait wait) => wait == Wait.ForData ? IsDataReady() : IsWakeReady();

    private bool IsWakeReady() => _wakeRequested || IsEnded || (connection.HasHungUp && !_hangupSeen);

    private bool IsDataReady() => _wakeRequested || _end > _examined || IsEnded || (connection.Readable && Receive());

    private ReadResult Result()
    {
        bool woken = Took();
        return new ReadResult(_block == null ? default : new ReadOnlySequence<byte>(_block, _start, _end - _start), woken, IsEnded);
    }

    /// <summary>The reader goes on; whether it was woken.</summary>
    private bool Took()
    {
        bool woken = _wakeRequested;
        _wakeRequested = false;
        _hangupSeen |= connection.HasHungUp;
        return woken;
    }

    /// <summary>Receives once. False when nothing came: no data, the block is full, or this turn's budget is used up.</summary>
    private bool Receive()
    {
        if (IsFull)
        {
            return false;
        }

        if (_turn != connection.Owner.Turn)
        {
            _turn = connection.Owner.Turn;
            _readsThisTurn = 0;
        }

        int limit = connection.Owner.ReadsPerTurn;
        if (_readsThisTurn >= (limit > 0 ? limit : 16))
        {
            // The rest waits behind the other connections (architecture rule 6).
            connection.Owner.Schedule(connection);
            return false;
        }

        if (IsBounded && _block is not { Length: BlockPool.BlockSize } && connection.Owner.Blocks.IsExhausted)
        {
            connection.Owner.Blocks.RunWhenFree(connection);
            return false;
        }

        _readsThisTurn++;
        MakeRoom();
        int result = connection.Receive(_block!, _end);
        if (result > 0)
        {
            _end += result;
            connection.Owner.Counters.Reads++;
            connection.Owner.Counters.BytesIn += result;
            return true;
        }

        if (_start == _end)
        {
            ReleaseBlock();
        }

        if (result == -Syscalls.EAGAIN)
        {
            return false;
        }

        if (result < 0)
        {
            connection.Break(-result);
        }

        IsEnded = true;
        return true;
    }

    private void MakeRoom()
    {
        if (_block == null)
        {
            _block = connection.Owner.Blocks.Rent();
            _start = _end = _examined = 0;
        }
        else if (_block.Length < BlockPool.BlockSize)
        {
            Replace(connection.Owner.Blocks.Rent());
        }
        else if (_start > 0 && _block.Length - _end < BlockPool.BlockSize / 4)
        {
            // The look-ahead stays contiguous: what is left is less than one frame's head, or a message not yet complete.
            _block.AsSpan(_start, _end - _start).CopyTo(_block);
            _end -= _start;
            _examined -= _start;
            _start = 0;
        }
    }

    private void Replace(byte[] block)
    {
        Unread.CopyTo(block);
        connection.Owner.Blocks.Return(_block!);
        _block = block;
        _end -= _start;
        _examined -= _start;
        _start = 0;
    }

    private void ReleaseBlock()
    {
        if (_block != null)
        {
            connection.Owner.Blocks.Return(_block);
            _block = null;
        }

        _start = _end = _examined = 0;
    }
}
