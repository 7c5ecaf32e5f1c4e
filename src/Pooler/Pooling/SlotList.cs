namespace Pooler.Pooling;

/// <summary>The idle servers of one pool and thread, last returned first; a linked list through the slots themselves.</summary>
internal sealed class SlotList
{
    /// <summary>The server that became idle last.</summary>
    public ServerSlot? Newest { get; private set; }

    /// <summary>The server that has been idle longest.</summary>
    public ServerSlot? Oldest { get; private set; }

    public int Count { get; private set; }

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
