namespace Pooler.Sql;

/// <summary>State of a session that PostgreSQL keeps beyond the transaction and nobody can carry to another server.</summary>
[Flags]
public enum PinReason : byte
{
    None = 0,

    /// <summary>LISTEN.</summary>
    Listen = 1,

    /// <summary>An advisory lock of the session.</summary>
    AdvisoryLock = 2,

    /// <summary>A temporary table, or anything else in the session's temporary schema.</summary>
    TemporaryTable = 4,

    /// <summary>A cursor WITH HOLD.</summary>
    HoldCursor = 8,

    /// <summary>SET or set_config of what the server does not report.</summary>
    Setting = 16,

    /// <summary>PREPARE, or a prepared statement that is not shared.</summary>
    PreparedStatement = 32,
}
