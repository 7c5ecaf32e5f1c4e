using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>
/// A client's place in a pool's queue. What it is waiting for is data of the pool and changes only under the pools' lock;
/// whoever loses a race finds the state changed and does nothing (architecture rule 5).
/// </summary>
internal abstract class Waiter
{
    internal Waiter? Previous, Next;

    /// <summary>Changes only under the pools' lock.</summary>
    internal WaiterState State;

    internal ServerPool? Pool;

    internal IoThread? Thread;

    /// <summary>Thread clock, microseconds, when it began to wait.</summary>
    internal long Since;

    /// <summary>Since when it is held for want of a host; 0 while it is not.</summary>
    internal long HeldSince;

    /// <summary>It logs in and wants only to know what the pool's servers report, not a server.</summary>
    internal bool WantsWelcome;

    /// <summary>With <see cref="WaiterState.Granted"/>: the server that is now this client's.</summary>
    internal ServerSlot? Slot;

    /// <summary>With <see cref="WaiterState.Failed"/>: what to tell the client.</summary>
    internal ErrorFields? Error;

    /// <summary>Of one that logs in, for the console; a session is listed by itself.</summary>
    internal virtual LoginFacts? Login => null;

    /// <summary>The state has left Waiting. Called on the waiter's thread; must only wake its session.</summary>
    internal abstract void Wake();

    /// <summary>Wakes it on its own thread, from any.</summary>
    internal void PostWake() => Thread!.Post(new WakeItem(this));

    private sealed class WakeItem(Waiter waiter) : RunItem
    {
        internal override void Run() => waiter.Wake();
    }
}
