namespace Pooler.Pooling;

/// <summary>
/// Which databases are paused: all by PAUSE, one by PAUSE db, each ended by its own RESUME only (PgBouncer's cf_pause_mode and
/// db_paused). Guarded by the pools' lock.
/// </summary>
internal sealed class PauseState
{
    private readonly HashSet<string> _databases = [];
    private bool _all;

    /// <summary>Null: all databases. False when that pause is there already.</summary>
    public bool Begin(string? database)
    {
        bool isNew = database == null ? !_all : _databases.Add(database);
        _all |= database == null;
        return isNew;
    }

    /// <summary>False when there is no such pause.</summary>
    public bool End(string? database)
    {
        bool was = database == null ? _all : _databases.Remove(database);
        _all &= database != null;
        return was;
    }

    /// <summary>Whether this very pause is there.</summary>
    public bool Contains(string? database) => database == null ? _all : _databases.Contains(database);

    /// <summary>Whether either pause holds for a database.</summary>
    public bool Covers(string database) => _all || _databases.Contains(database);
}
