namespace Pooler.Cluster;

/// <summary>Whether a host may be given work, as far as its health goes.</summary>
internal enum HealthState
{
    /// <summary>It was not asked yet.</summary>
    Unknown,

    /// <summary>Its probes are answered.</summary>
    Up,

    /// <summary>Its last probe was not.</summary>
    Down,

    /// <summary>It answers, but fails those who use it: left out until its next try.</summary>
    Ejected,

    /// <summary>The try went well: it is used again, and the first failure ejects it for longer.</summary>
    HalfOpen,
}
