namespace Pooler.Net;

/// <summary>
/// What waits to become TLS records: one for each flush, as long as it fits into a block. What has become one is the socket's
/// (<see cref="Connection.Wire"/>) and may wait there; nothing waits here behind a flush.
/// </summary>
internal sealed class TlsOutbox(Connection connection, TlsSession tls) : Outbox
{
    private byte[]? _buffer;
    private int _end;

    public override int Pending => _end + connection.Wire.Pending;

    public override bool IsCongested => connection.Wire.IsCongested;

    public override void Append(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            int length = Math.Min(data.Length, BlockPool.BlockSize - Math.Min(_end, BlockPool.BlockSize));
            if (length == 0)
            {
                Flush();
                continue;
            }

            data[..length].CopyTo(GetSpan(length));
            _end += length;
            data = data[length..];
        }
    }

    public override void Send(ReadOnlySpan<byte> data)
    {
        Append(data);
        Flush();
    }

    public override void Flush()
    {
        if (_end > 0 && !connection.IsClosed && connection.Error == 0)
        {
            tls.Send(_buffer.AsMemory(0, _end));
        }

        Drop();
        connection.Wire.Flush();
    }

    public override void WakeWhenDrained(ConnectionInput input) => connection.Wire.WakeWhenDrained(input);

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

    internal override void Clear()
    {
        Drop();
        connection.Wire.Clear();
    }

    private void Reserve(int room)
    {
        if (_buffer != null && _buffer.Length - _end < room)
        {
            Flush();
        }

        _buffer ??= room <= BlockPool.BlockSize ? connection.Owner.Blocks.Rent() : connection.Owner.Blocks.RentLarge(room);
    }

    private void Drop()
    {
        if (_buffer != null)
        {
            connection.Owner.Blocks.Return(_buffer);
            _buffer = null;
        }

        _end = 0;
    }
}
