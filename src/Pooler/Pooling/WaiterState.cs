namespace Pooler.Pooling;

/// <summary>Where a <see cref="Waiter"/> stands.</summary>
internal enum WaiterState : byte
{
    /// <summary>Not in any queue.</summary>
    Idle,

    /// <summary>In its pool's queue.</summary>
    Waiting,

    /// <summary>A server of another thread is on its way to it.</summary>
    Bound,

    /// <summary>A server is its own (or, for a login, the welcome is known).</summary>
    Granted,

    /// <summary>The hosts have changed: it has to ask again, maybe elsewhere.</summary>
    Rerouted,

    /// <summary>No server can be had, see <see cref="Waiter.Error"/>.</summary>
    Failed,
}
