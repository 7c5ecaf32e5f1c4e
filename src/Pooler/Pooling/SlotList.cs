namespace Pooler.Pooling;

/// <summary>The idle servers of one pool and thread, last returned first; a linked list through the slots themselves.</summary>
internal sealed class SlotList
{
    // Microseconds. A server that has just said it is ready still has its transaction to put away and its socket to go to sleep on; a
    // request that comes in between waits for that: at 16 clients a transaction cost 4 to 25 % more (docs/performance.md).
    private const long Rest = 200;

    // Null: none is known to have rested, the search begins at the oldest.
    private ServerSlot? _rested;

    // Who asked last; one client of a pool and thread is kept by it after it has gone.
    private Waiter? _last;

    /// <summary>The server that became idle last.</summary>
    public ServerSlot? Newest { get; private set; }

    /// <summary>The server that has been idle longest.</summary>
    public ServerSlot? Oldest { get; private set; }

    public int Count { get; private set; }

    /// <summary>
    /// The server to lend, which the caller removes. For one who asks twice in a row the newest: the server has had its rest while the
    /// client read the answer. With others at work the newest that has rested; none has: the one that has rested most.
    /// </summary>
    /// <param name="now">The thread's clock.</param>
    public ServerSlot? NextFor(Waiter waiter, long now)
    {
        if (_last == waiter)
        {
            return Newest;
        }

        _last = waiter;

        // In time O(1): each is passed once.
        ServerSlot? next = _rested == null ? Oldest : _rested.Newer;
        while (next != null && now - next.IdleSince >= Rest)
        {
            _rested = next;
            next = next.Newer;
        }

        return _rested ?? Oldest;
    }

    public void Push(ServerSlot slot)
    {
        slot.Older = Newest;
        slot.Newer = null;
        if (Newest == null)
        {
            Oldest = slot;
        }
        else
        {
            Newest.Newer = slot;
        }

        Newest = slot;
        Count++;
    }

    public void Remove(ServerSlot slot)
    {
        if (slot == _rested)
        {
            _rested = slot.Older;
        }

        if (slot.Newer == null)
        {
            Newest = slot.Older;
        }
        else
        {
            slot.Newer.Older = slot.Older;
        }

        if (slot.Older == null)
        {
            Oldest = slot.Newer;
        }
        else
        {
            slot.Older.Newer = slot.Newer;
        }

        slot.Newer = slot.Older = null;
        Count--;
    }
}
