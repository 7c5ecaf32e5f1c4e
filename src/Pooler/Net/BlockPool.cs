namespace Pooler.Net;

/// <summary>
/// The buffers of one I/O thread. A block is rented when a socket is readable (or a send has to wait) and returned when it is
/// used up, so idle connections hold none. Blocks are pinned once and for all.
/// </summary>
internal sealed class BlockPool(IoThread thread)
{
    /// <summary>Bytes in a block: also the look-ahead of a session.</summary>
    public const int BlockSize = 16 * 1024;

    /// <summary>Bytes of a request that waits in a buffer of its own size: thousands may wait at once.</summary>
    public const int SmallSize = 512;

    // What a burst needed is given back to the collector beyond this many blocks (4 MiB).
    private const int MaxFree = 256, MaxFreeSmall = 4096;

    private readonly Stack<byte[]> _free = new(), _freeSmall = new();

    private readonly Queue<RunItem> _starved = new();
    private int _blocks;

    /// <summary>Buffers of any size lent and not yet returned.</summary>
    public int Rented { get; private set; }

    /// <summary>Whole blocks that may be lent before clients wait to be read (max_lookahead_memory).</summary>
    public int Limit { get; set; } = int.MaxValue;

    public bool IsExhausted => _blocks >= Limit;

    /// <summary>Runs when a block is free again. Servers are read without asking: they are what frees blocks.</summary>
    public void RunWhenFree(RunItem item) => _starved.Enqueue(item);

    /// <summary>Whole blocks lent and not yet returned.</summary>
    public int Lent => _blocks;

    /// <summary>Blocks kept for the next to need one.</summary>
    public int Free => _free.Count;

    public byte[] Rent()
    {
        Rented++;
        _blocks++;
        return _free.TryPop(out byte[]? block) ? block : GC.AllocateUninitializedArray<byte>(BlockSize, pinned: true);
    }

    /// <summary>A buffer larger than a block, for what has to wait as a whole; it is not kept when it comes back.</summary>
    public byte[] RentLarge(int size)
    {
        Rented++;
        return GC.AllocateUninitializedArray<byte>(size, pinned: true);
    }

    /// <summary>For a short request that waits for its server.</summary>
    public byte[] RentSmall()
    {
        Rented++;
        return _freeSmall.TryPop(out byte[]? block) ? block : GC.AllocateUninitializedArray<byte>(SmallSize, pinned: true);
    }

    /// <summary>A buffer that does not come back to the pool: the kernel still reads from it when its connection is gone.</summary>
    public void Forget(byte[] block)
    {
        Rented--;
        _blocks -= block.Length == BlockSize ? 1 : 0;
    }

    public void Return(byte[] block)
    {
        Rented--;
        if (block.Length == SmallSize && _freeSmall.Count < MaxFreeSmall)
        {
            _freeSmall.Push(block);
        }

        if (block.Length != BlockSize)
        {
            return;
        }

        _blocks--;
        if (_free.Count < MaxFree)
        {
            _free.Push(block);
        }

        if (_starved.Count > 0 && !IsExhausted)
        {
            thread.Schedule(_starved.Dequeue());
        }
    }
}
