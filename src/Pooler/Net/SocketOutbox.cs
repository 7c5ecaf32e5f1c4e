namespace Pooler.Net;

/// <summary>
/// The bytes as the socket gets them. Once a send could not take everything, the I/O thread goes on by itself whenever the
/// socket has room, and what is appended meanwhile follows.
/// </summary>
internal sealed class SocketOutbox(Connection connection) : Outbox
{
    // With io_uring: a system call of its own costs less than to copy so much into a buffer that the kernel may keep.
    private const int LeastAtOnce = 4096;

    private byte[]? _buffer;
    private int _start, _end;
    private ConnectionInput? _wakeWhenDrained;

    // With io_uring the kernel owns this buffer until the send has completed; what is appended meanwhile goes into another.
    private byte[]? _flying;
    private int _flyingStart, _flyingEnd;
    private bool _isQueued;

    // It came back short: what is left of it waits to be given to the kernel again.
    private bool _isShort;

    public override int Pending => _end - _start + _flyingEnd - _flyingStart;

    public override bool IsCongested => IsBlocked || (_flying != null && _end - _start >= BlockPool.BlockSize / 2);

    /// <summary>Nothing goes out any more. After a failed send not even later bytes: they would follow a gap.</summary>
    private bool IsDead => connection.IsClosed || connection.Error != 0;

    private bool SendsAtOnce => connection.Owner.Engine.SendsAtOnce;

    /// <summary>The kernel's buffer was full: the socket's next writable event goes on.</summary>
    public bool IsBlocked { get; private set; }

    public override void Append(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            data.CopyTo(GetSpan(data.Length));
            _end += data.Length;
        }
    }

    /// <summary>As the base; straight from the caller's buffer when nothing is pending.</summary>
    public override void Send(ReadOnlySpan<byte> data)
    {
        if (SendsAtOnce && Pending == 0 && !IsBlocked)
        {
            data = data[SendSome(data)..];
        }
        else if (data.Length >= LeastAtOnce && Pending == 0 && !IsDead)
        {
            data = data[SendAtOnce(data)..];
        }

        Append(data);
        if (!IsBlocked)
        {
            Flush();
        }
    }

    public override void Flush()
    {
        if (IsDead)
        {
            Clear();
            return;
        }

        if (IsBlocked || _buffer == null)
        {
            return;
        }

        if (!SendsAtOnce)
        {
            Queue();
            return;
        }

        _start += SendSome(_buffer.AsSpan(_start, _end - _start));
        if (_start == _end)
        {
            Clear();
        }
    }

    public override void WakeWhenDrained(ConnectionInput input) => _wakeWhenDrained = input;

    public override void Advance(int count) => _end += count;

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_end);
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_end);
    }

    /// <summary>Gives the engine what is to be sent next; false when a send is under way or nothing is there.</summary>
    internal bool TakeOff([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out byte[]? buffer, out int start, out int length)
    {
        _isQueued = false;
        if (_flying == null && _end > _start)
        {
            (_flying, _flyingStart, _flyingEnd) = (_buffer, _start, _end);
            (_buffer, _start, _end) = (null, 0, 0);
            _isShort = true;
        }

        (buffer, start, length) = (_flying, _flyingStart, _flyingEnd - _flyingStart);
        bool goes = _isShort && length > 0;
        _isShort = false;
        return goes && buffer != null;
    }

    /// <summary>The engine's send has completed: bytes sent, or the negative errno.</summary>
    internal void Landed(int result)
    {
        if (result is -Syscalls.EAGAIN or -Syscalls.EINTR)
        {
            _isShort = true;
            Queue();
            return;
        }

        if (result < 0)
        {
            ReturnFlying();
            connection.BreakSending(-result);
            return;
        }

        connection.Owner.Counters.Sends++;
        connection.Owner.Counters.BytesOut += result;
        connection.Progress();
        _flyingStart += result;
        if (_flyingStart < _flyingEnd)
        {
            _isShort = true;
            Queue();
            return;
        }

        ReturnFlying();
        if (_buffer != null)
        {
            Queue();
        }
        else
        {
            WakeWaiting();
        }
    }

    /// <summary>The connection is about to close: what was not submitted yet goes out at once, as far as it can.</summary>
    internal void SendLast()
    {
        if (!SendsAtOnce && _flying == null && _buffer != null && !IsDead)
        {
            _ = connection.Owner.Engine.Send(connection, _buffer.AsSpan(_start, _end - _start));
        }
    }

    /// <summary>The socket has room again, or an error that the next send reports.</summary>
    internal void OnWritable()
    {
        if (IsBlocked)
        {
            IsBlocked = false;
            Flush();
        }
    }

    internal override void Clear()
    {
        if (_buffer != null)
        {
            connection.Owner.Blocks.Return(_buffer);
            _buffer = null;
        }

        _start = _end = 0;
        IsBlocked = false;
        if (_flying != null && _isShort)
        {
            ReturnFlying(); // The kernel has done its part and was not given the rest.
        }
        else if (_flying != null && connection.IsClosed)
        {
            connection.Owner.Engine.Orphan(connection, _flying);
            connection.Owner.Blocks.Forget(_flying);
            (_flying, _flyingStart, _flyingEnd) = (null, 0, 0);
        }

        WakeWaiting();
    }

    private void WakeWaiting()
    {
        ConnectionInput? waiting = _wakeWhenDrained;
        _wakeWhenDrained = null;
        waiting?.Wake();
    }

    private void Queue()
    {
        if (!_isQueued && (_flying == null || _isShort))
        {
            _isQueued = true;
            connection.Owner.Engine.QueueSend(connection);
        }
    }

    private void ReturnFlying()
    {
        connection.Owner.Blocks.Return(_flying!);
        (_flying, _flyingStart, _flyingEnd) = (null, 0, 0);
        _isShort = false;
    }

    /// <summary>What the kernel takes now; the ring sends the rest. All of it when the connection broke.</summary>
    private int SendAtOnce(ReadOnlySpan<byte> data)
    {
        int result = Syscalls.Send(connection.Fd, data);
        if (result > 0)
        {
            connection.Owner.Counters.Sends++;
            connection.Owner.Counters.BytesOut += result;
            connection.Progress();
            return result;
        }

        if (result is 0 or -Syscalls.EAGAIN or -Syscalls.EINTR)
        {
            return 0;
        }

        connection.BreakSending(-result);
        return data.Length;
    }

    /// <summary>Sends until the kernel has no room; returns the bytes taken. All of them when the connection broke.</summary>
    private int SendSome(ReadOnlySpan<byte> data)
    {
        int sent = 0;
        while (sent < data.Length)
        {
            if (IsDead)
            {
                return data.Length;
            }

            int result = connection.Owner.Engine.Send(connection, data[sent..]);
            if (result >= 0)
            {
                sent += result;
                connection.Owner.Counters.Sends++;
                connection.Owner.Counters.BytesOut += result;
                connection.Progress();
            }
            else if (result == -Syscalls.EAGAIN)
            {
                IsBlocked = true;
                return sent;
            }
            else if (result != -Syscalls.EINTR)
            {
                connection.BreakSending(-result);
                return data.Length;
            }
        }

        return sent;
    }

    private void Reserve(int room)
    {
        if (IsDead)
        {
            Clear(); // It goes nowhere; nothing piles up either.
        }

        if (_buffer == null)
        {
            _buffer = room <= BlockPool.BlockSize ? connection.Owner.Blocks.Rent() : connection.Owner.Blocks.RentLarge(room);
            _start = _end = 0;
            return;
        }

        if (_buffer.Length - _end >= room)
        {
            return;
        }

        int pending = _end - _start;
        if (!SendsAtOnce && _flying == null && pending > 0)
        {
            // Full, and the kernel has nothing yet: it gets this block now, and the next is filled meanwhile.
            connection.Owner.Engine.SendNow(connection);
            Reserve(room);
            return;
        }

        byte[] target = _buffer;
        if (pending + room > _buffer.Length)
        {
            target = connection.Owner.Blocks.RentLarge(Math.Max(pending + room, _buffer.Length * 2));
        }

        _buffer.AsSpan(_start, pending).CopyTo(target);
        if (!ReferenceEquals(target, _buffer))
        {
            connection.Owner.Blocks.Return(_buffer);
            _buffer = target;
        }

        _start = 0;
        _end = pending;
    }
}
