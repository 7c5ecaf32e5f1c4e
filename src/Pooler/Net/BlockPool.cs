namespace Pooler.Net;

/// <summary>
/// The buffers of one I/O thread. A block is rented when a socket is readable (or a send has to wait) and returned when it is
/// used up, so idle connections hold none. Blocks are pinned once and for all.
/// </summary>
internal sealed class BlockPool
{
    /// <summary>Bytes in a block: also the look-ahead of a session.</summary>
    public const int BlockSize = 16 * 1024;

    // What a burst needed is given back to the collector beyond this many blocks (4 MiB).
    private const int MaxFree = 256;

    private readonly Stack<byte[]> _free = new();

    /// <summary>Blocks lent and not yet returned.</summary>
    public int Rented { get; private set; }

    public byte[] Rent()
    {
        Rented++;
        return _free.TryPop(out byte[]? block) ? block : GC.AllocateUninitializedArray<byte>(BlockSize, pinned: true);
    }

    /// <summary>A buffer larger than a block, for what has to wait as a whole; it is not kept when it comes back.</summary>
    public byte[] RentLarge(int size)
    {
        Rented++;
        return GC.AllocateUninitializedArray<byte>(size, pinned: true);
    }

    public void Return(byte[] block)
    {
        Rented--;
        if (block.Length == BlockSize && _free.Count < MaxFree)
        {
            _free.Push(block);
        }
    }
}
