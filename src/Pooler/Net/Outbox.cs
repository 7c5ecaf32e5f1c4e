using System.Buffers;

namespace Pooler.Net;

/// <summary>
/// What waits to be sent on a connection. One author at a time appends; once a send could not take everything, the I/O thread
/// goes on by itself whenever the socket has room, and what is appended meanwhile follows.
/// </summary>
internal sealed class Outbox(Connection connection) : IBufferWriter<byte>
{
    private byte[]? _buffer;
    private int _start, _end;
    private ConnectionInput? _wakeWhenDrained;

    /// <summary>Bytes appended and not yet taken by the kernel.</summary>
    public int Pending => _end - _start;

    /// <summary>The kernel's buffer was full: the socket's next writable event goes on.</summary>
    public bool IsBlocked { get; private set; }

    public void Append(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            data.CopyTo(GetSpan(data.Length));
            _end += data.Length;
        }
    }

    /// <summary>Sends data after what is pending; straight from the caller's buffer when nothing is.</summary>
    public void Send(ReadOnlySpan<byte> data)
    {
        if (Pending == 0 && !IsBlocked)
        {
            data = data[SendSome(data)..];
        }

        Append(data);
        if (!IsBlocked)
        {
            Flush();
        }
    }

    /// <summary>Sends what is pending as far as the kernel takes it.</summary>
    public void Flush()
    {
        if (connection.IsClosed)
        {
            Clear();
            return;
        }

        if (IsBlocked || _buffer == null)
        {
            return;
        }

        _start += SendSome(_buffer.AsSpan(_start, _end - _start));
        if (_start == _end)
        {
            Clear();
        }
    }

    /// <summary>Wakes a reader as soon as nothing is pending any more (or the connection is gone).</summary>
    public void WakeWhenDrained(ConnectionInput input) => _wakeWhenDrained = input;

    public void Advance(int count) => _end += count;

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_end);
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_end);
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

    internal void Clear()
    {
        if (_buffer != null)
        {
            connection.Owner.Blocks.Return(_buffer);
            _buffer = null;
        }

        _start = _end = 0;
        IsBlocked = false;
        ConnectionInput? waiting = _wakeWhenDrained;
        _wakeWhenDrained = null;
        waiting?.Wake();
    }

    /// <summary>Sends until the kernel has no room; returns the bytes taken. All of them when the connection broke.</summary>
    private int SendSome(ReadOnlySpan<byte> data)
    {
        int sent = 0;
        while (sent < data.Length)
        {
            if (connection.IsClosed)
            {
                return data.Length;
            }

            int result = Syscalls.Send(connection.Fd, data[sent..]);
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

        int pending = Pending;
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
