namespace Pooler.Config;

/// <summary>Whose writes a read must not miss (<c>read_after_write</c>, with routing = read_write_split).</summary>
internal enum ReadAfterWrite
{
    /// <summary>Those of its own session.</summary>
    Session,

    /// <summary>Those of all sessions of its user in this process.</summary>
    User,

    /// <summary>Nobody's: a replica may be as late as max_replica_lag_time allows.</summary>
    Off,
}
