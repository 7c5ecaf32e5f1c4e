using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>
/// What a change from outside (PAUSE, RELOAD, another host is primary) does to pools: collected under the lock of
/// <see cref="Pools"/>, done once it was left.
/// </summary>
internal sealed class PoolChange
{
    private readonly List<(ServerSlot Slot, string Reason)> _idle = [];
    private readonly List<(ServerSlot Slot, ErrorFields Reason)> _lost = [];
    private readonly List<Waiter> _rerouted = [];

    /// <summary>The idle servers leave the pool's lists and are closed; they count as used until then.</summary>
    public void CloseIdle(ServerPool pool, string reason) => CloseIdle(pool, reason, static _ => true);

    /// <summary>None of its servers is lent again: idle ones are closed at once, the others at their release.</summary>
    public void Retire(ServerPool pool, string reason) => Retire(pool, reason, static _ => true);

    /// <summary>The same for some of its servers.</summary>
    public void Retire(ServerPool pool, string reason, Func<ServerSlot, bool> which)
    {
        CloseIdle(pool, reason, which);
        foreach (ServerSlot slot in pool.Slots.Where(which))
        {
            slot.CloseReason ??= reason;
        }
    }

    /// <summary>One idle server.</summary>
    public void CloseIdle(ServerSlot slot, string reason)
    {
        slot.Pool.Idle[slot.Server.Thread.Index].Remove(slot);
        slot.State = SlotState.Housekeeping;
        _idle.Add((slot, reason));
    }

    private void CloseIdle(ServerPool pool, string reason, Func<ServerSlot, bool> which)
    {
        foreach (SlotList list in pool.Idle)
        {
            for (ServerSlot? slot = list.Oldest, next; slot != null; slot = next)
            {
                next = slot.Newer;
                if (which(slot))
                {
                    CloseIdle(slot, reason);
                }
            }
        }
    }

    /// <summary>All its servers are closed at once, whatever they do.</summary>
    public void Cut(ServerPool pool, ErrorFields reason) => _lost.AddRange(pool.Slots.Select(slot => (slot, reason)));

    /// <summary>Those that could be written to are closed at once.</summary>
    public void CutWritable(ServerPool pool, ErrorFields reason) => _lost.AddRange(pool.Slots.Where(static slot => !slot.Server.IsReadOnly).Select(slot => (slot, reason)));

    /// <summary>Who waits there asks again.</summary>
    public void Reroute(ServerPool pool) => pool.DequeueAll(_rerouted);

    public void Do()
    {
        foreach ((ServerSlot slot, string reason) in _idle)
        {
            slot.Server.Thread.Post(() => slot.Server.Terminate(reason));
        }

        foreach ((ServerSlot slot, ErrorFields reason) in _lost)
        {
            slot.Server.Thread.Post(() => slot.Server.Close(reason));
        }

        _rerouted.ForEach(static waiter => waiter.PostWake());
    }
}
