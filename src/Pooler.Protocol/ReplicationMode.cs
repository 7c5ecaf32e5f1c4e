namespace Pooler.Protocol;

/// <summary>
/// What the startup parameter <c>replication</c> asks for
/// (PostgreSQL documentation, 55.4 Streaming Replication Protocol).
/// </summary>
public enum ReplicationMode
{
    /// <summary>An ordinary connection.</summary>
    None,

    /// <summary>A replication connection without a database.</summary>
    Physical,

    /// <summary>A replication connection to a database, which also takes SQL.</summary>
    Logical,
}
