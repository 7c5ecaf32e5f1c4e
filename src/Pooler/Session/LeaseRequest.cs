using Pooler.Pooling;

namespace Pooler.Session;

/// <summary>A session's place in its pool's queue.</summary>
internal sealed class LeaseRequest(ClientSession session) : Waiter
{
    /// <summary>The session waits no longer; the server it was granted meanwhile goes back.</summary>
    public void Withdraw(Pools pools)
    {
        if (!pools.Leave(this))
        {
            State = WaiterState.Idle;
            Slot!.TakeBack();
        }
    }

    internal override void Wake() => session.Wake();
}
