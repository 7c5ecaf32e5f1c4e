namespace Pooler.Session;

/// <summary>What a client loses with its server.</summary>
internal enum ServerLoss : byte
{
    /// <summary>Nothing was under way.</summary>
    Nothing,

    /// <summary>A transaction that is certainly not committed.</summary>
    RolledBack,

    /// <summary>A transaction of which nobody knows whether it was committed.</summary>
    Unknown,
}
