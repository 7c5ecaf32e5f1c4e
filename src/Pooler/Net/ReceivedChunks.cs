namespace Pooler.Net;

/// <summary>
/// What io_uring has received for one connection and its reader has not taken yet: mostly one provided buffer for a moment.
/// What stays longer moves to a block of our own, so that a reader that does not read holds no buffer that others need.
/// </summary>
internal sealed class ReceivedChunks
{
    // The kernel may deliver this much before it is told to stop; then the receive is cancelled until it was taken.
    private const int Backlog = 4;

    private Queue<Chunk>? _more;
    private Chunk _first;
    private int _count, _endResult;

    /// <summary>The kernel holds a receive of this connection.</summary>
    public bool IsArmed { get; set; }

    /// <summary>Much comes at once: it is not received ahead any more, but read from the socket when its reader asks.</summary>
    public bool IsStreaming { get; set; }

    /// <summary>Polls of the stream that the kernel holds; above 1 while a cancelled one has not ended yet.</summary>
    public byte Polls { get; set; }

    public byte FullInRow { get; set; }

    public byte ShortInRow { get; set; }

    /// <summary>No more is received for now, so the end of the stream is watched for by itself.</summary>
    public bool IsHangUpWatched { get; set; }

    /// <summary>The end of the stream, or an error, came behind the chunks.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>Waits for the receive to be cancelled, to give the connection to another thread.</summary>
    public Action<bool>? Released { get; set; }

    public bool IsEmpty => _count == 0;

    public bool IsBacklogged => _count >= Backlog;

    public void Reset()
    {
        IsEnded = IsHangUpWatched = IsStreaming = false;
        Polls = FullInRow = ShortInRow = 0;
    }

    public void Add(IoRing ring, int buffer, int length) => Append(new Chunk(ring.Buffers, IoRing.BufferStart(buffer), length, buffer));

    public void End(int result)
    {
        IsEnded = true;
        _endResult = result;
    }

    /// <summary>As recv: bytes taken, 0 at the end, or the negative errno.</summary>
    public int Take(IoRing ring, Span<byte> target)
    {
        if (_count == 0)
        {
            return IsEnded ? _endResult : -Syscalls.EAGAIN;
        }

        int length = Math.Min(target.Length, _first.Length);
        _first.Data.AsSpan(_first.Start, length).CopyTo(target);
        _first.Start += length;
        _first.Length -= length;
        if (_first.Length == 0)
        {
            DropFirst(ring);
        }

        return length;
    }

    /// <summary>Moves what is left in provided buffers to memory of our own.</summary>
    public void Spill(IoRing ring)
    {
        for (int i = 0, n = _count; i < n; i++)
        {
            Chunk chunk = _first;
            if (chunk.Buffer >= 0)
            {
                byte[] copy = chunk.Data.AsSpan(chunk.Start, chunk.Length).ToArray();
                ring.ReturnBuffer(chunk.Buffer);
                chunk = new Chunk(copy, 0, chunk.Length, -1);
            }

            _first = default;
            _count--;
            if (_more is { Count: > 0 })
            {
                _first = _more.Dequeue();
            }

            Append(chunk);
        }
    }

    public void Clear(IoRing ring)
    {
        while (_count > 0)
        {
            DropFirst(ring);
        }
    }

    private void Append(Chunk chunk)
    {
        if (_count++ == 0)
        {
            _first = chunk;
        }
        else
        {
            (_more ??= new Queue<Chunk>()).Enqueue(chunk);
        }
    }

    private void DropFirst(IoRing ring)
    {
        if (_first.Buffer >= 0)
        {
            ring.ReturnBuffer(_first.Buffer);
        }

        _count--;
        _first = _count > 0 ? _more!.Dequeue() : default;
    }

    private struct Chunk(byte[] data, int start, int length, int buffer)
    {
        public readonly byte[] Data = data;
        public readonly int Buffer = buffer;
        public int Start = start, Length = length;
    }
}
