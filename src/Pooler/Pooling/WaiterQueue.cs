namespace Pooler.Pooling;

/// <summary>The waiters of one pool and thread, oldest first; a linked list through the waiters themselves.</summary>
internal sealed class WaiterQueue
{
    public Waiter? Oldest { get; private set; }

    private Waiter? _newest;

    public int Count { get; private set; }

    public void Append(Waiter waiter)
    {
        waiter.Previous = _newest;
        waiter.Next = null;
        if (_newest == null)
        {
            Oldest = waiter;
        }
        else
        {
            _newest.Next = waiter;
        }

        _newest = waiter;
        Count++;
    }

    /// <summary>Back to the head: its server was lost on the way.</summary>
    public void Prepend(Waiter waiter)
    {
        waiter.Previous = null;
        waiter.Next = Oldest;
        if (Oldest == null)
        {
            _newest = waiter;
        }
        else
        {
            Oldest.Previous = waiter;
        }

        Oldest = waiter;
        Count++;
    }

    public void Remove(Waiter waiter)
    {
        if (waiter.Previous == null)
        {
            Oldest = waiter.Next;
        }
        else
        {
            waiter.Previous.Next = waiter.Next;
        }

        if (waiter.Next == null)
        {
            _newest = waiter.Previous;
        }
        else
        {
            waiter.Next.Previous = waiter.Previous;
        }

        waiter.Previous = waiter.Next = null;
        Count--;
    }
}
