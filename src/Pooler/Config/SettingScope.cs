namespace Pooler.Config;

/// <summary>Where a setting may be written; one row of the table can serve several places.</summary>
[Flags]
internal enum SettingScope
{
    /// <summary>Nowhere.</summary>
    None = 0,

    /// <summary>Section [pgbouncer] (or [pooler]).</summary>
    Global = 1,

    /// <summary>A key of an entry of [databases].</summary>
    Database = 2,

    /// <summary>A key of an entry of [users].</summary>
    User = 4,

    /// <summary>A key of an entry of [peers].</summary>
    Peer = 8,
}
