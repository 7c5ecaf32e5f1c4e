namespace Pooler.Pooling;

/// <summary>What a server of a pool is doing; changes only under the pools' lock.</summary>
internal enum SlotState : byte
{
    /// <summary>Connecting or logging in.</summary>
    Login,
    Idle,

    /// <summary>Lent to a client, or granted and not yet taken up.</summary>
    Active,

    /// <summary>On its way to another I/O thread; counts as used.</summary>
    Moving,

    /// <summary>Being reset or checked; counts as used.</summary>
    Housekeeping,

    /// <summary>Clean, but a CancelRequest for it is still under way; counts as used.</summary>
    BeingCanceled,

    /// <summary>Out of the pool.</summary>
    Gone,
}
