using System.Buffers;

namespace Pooler.Net;

/// <summary>
/// What waits to be sent on a connection: to the socket as it is (<see cref="SocketOutbox"/>), or as TLS records
/// (<see cref="TlsOutbox"/>). One author at a time appends.
/// </summary>
internal abstract class Outbox : IBufferWriter<byte>
{
    /// <summary>Bytes appended and not yet taken by the kernel.</summary>
    public abstract int Pending { get; }

    /// <summary>No more should be appended until it is drained (architecture rule 8).</summary>
    public abstract bool IsCongested { get; }

    public abstract void Append(ReadOnlySpan<byte> data);

    /// <summary>Sends data after what is pending.</summary>
    public abstract void Send(ReadOnlySpan<byte> data);

    /// <summary>Sends what is pending as far as the kernel takes it.</summary>
    public abstract void Flush();

    /// <summary>Wakes a reader as soon as nothing is pending any more (or the connection is gone).</summary>
    public abstract void WakeWhenDrained(ConnectionInput input);

    public abstract void Advance(int count);

    public abstract Span<byte> GetSpan(int sizeHint = 0);

    public abstract Memory<byte> GetMemory(int sizeHint = 0);

    /// <summary>Whether it is congested; then the reader is woken as soon as it is not.</summary>
    public bool HoldsUp(ConnectionInput input)
    {
        if (!IsCongested)
        {
            return false;
        }

        WakeWhenDrained(input);
        return true;
    }

    /// <summary>Drops what is pending.</summary>
    internal abstract void Clear();
}
