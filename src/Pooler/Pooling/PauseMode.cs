namespace Pooler.Pooling;

/// <summary>Whether a pool lends servers (PgBouncer's cf_pause_mode).</summary>
internal enum PauseMode
{
    /// <summary>It does.</summary>
    None,

    /// <summary>SUSPEND: it does not; idle servers stay open.</summary>
    Suspended,

    /// <summary>PAUSE: it does not, and closes them as they are released.</summary>
    Paused,
}
