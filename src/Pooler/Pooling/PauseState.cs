namespace Pooler.Pooling;

/// <summary>
/// Which databases are paused: all by PAUSE or SUSPEND, one by PAUSE db, each ended by its own RESUME only (PgBouncer's cf_pause_mode
/// and db_paused). Guarded by the pools' lock.
/// </summary>
internal sealed class PauseState
{
    private readonly HashSet<string> _databases = [];

    /// <summary>What holds for all databases.</summary>
    public PauseMode All { get; private set; }

    /// <summary>Null: all databases. False when a pause of just these is there already.</summary>
    public bool Begin(string? database, PauseMode mode)
    {
        if (database != null)
        {
            return _databases.Add(database);
        }

        bool isNew = All == PauseMode.None;
        All = isNew ? mode : All;
        return isNew;
    }

    /// <summary>False when there is no such pause.</summary>
    public bool End(string? database)
    {
        if (database != null)
        {
            return _databases.Remove(database);
        }

        bool was = All != PauseMode.None;
        All = PauseMode.None;
        return was;
    }

    /// <summary>Whether this very pause is there.</summary>
    public bool Contains(string? database) => database == null ? All != PauseMode.None : _databases.Contains(database);

    /// <summary>Whether one database is paused by itself.</summary>
    public bool HasDatabases => _databases.Count > 0;

    /// <summary>What holds for a database by either pause.</summary>
    public PauseMode Of(string database) => _databases.Contains(database) ? PauseMode.Paused : All;
}
