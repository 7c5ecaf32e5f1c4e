namespace Pooler.Pooling;

/// <summary>What the console and signals do to pools: pause, suspend, resume, disable.</summary>
internal sealed partial class Pools
{
    /// <summary>
    /// PAUSE: no new lends; idle servers close, the others at their release. Null: all databases. False when it was paused already.
    /// </summary>
    public bool Pause(string? database)
    {
        var change = new PoolChange();
        bool isNew;
        lock (_lock)
        {
            isNew = _pauses.Begin(database, PauseMode.Paused);
            foreach (ServerPool pool in Matching(database))
            {
                pool.Pause = PauseMode.Paused;
                change.CloseIdle(pool, "pause mode");
            }
        }

        change.Do();
        return isNew;
    }

    /// <summary>SUSPEND: no new lends, and the servers stay. False when all databases are paused or suspended, or one is paused.</summary>
    public bool Suspend()
    {
        lock (_lock)
        {
            if (_pauses.HasDatabases || !_pauses.Begin(null, PauseMode.Suspended))
            {
                return false;
            }

            foreach (ServerPool pool in _pools.Values)
            {
                pool.Pause = PauseMode.Suspended;
            }

            return true;
        }
    }

    /// <summary>What holds for all databases.</summary>
    public PauseMode PauseOfAll
    {
        get
        {
            lock (_lock)
            {
                return _pauses.All;
            }
        }
    }

    /// <summary>Whether a pause of just this holds (null: of all databases).</summary>
    public bool IsPaused(string? database)
    {
        lock (_lock)
        {
            return _pauses.Contains(database);
        }
    }

    /// <summary>RESUME: waiting clients get their servers. False when it was not paused.</summary>
    public bool Resume(string? database, long now)
    {
        bool was;
        var change = new PoolChange();
        var todo = default(PoolTodo);
        lock (_lock)
        {
            was = _pauses.End(database);
            foreach (ServerPool pool in Matching(database))
            {
                if (pool.Pause == PauseMode.Suspended)
                {
                    change.Reroute(pool); // There are idle servers: who waits asks again.
                }

                pool.Pause = _pauses.Of(pool.Key.Database);
                _growth.EnsureServers(pool, now, ref todo);
            }
        }

        todo.Do();
        change.Do();
        return was;
    }

    /// <summary>Servers still open under a database (null: all).</summary>
    public int OpenServers(string? database) => OpenServers(database, static _ => true);

    /// <summary>Those of them that are as asked; the question is put under the lock.</summary>
    public int OpenServers(string? database, Func<ServerSlot, bool> which)
    {
        lock (_lock)
        {
            return Matching(database).Sum(pool => pool.Slots.Count(which));
        }
    }

    /// <summary>A command of the console over the servers of a database (null: of all): decided under the lock, done when it was left.</summary>
    public void Change(string? database, Action<ServerPool, PoolChange> decide)
    {
        var change = new PoolChange();
        lock (_lock)
        {
            foreach (ServerPool pool in Matching(database))
            {
                decide(pool, change);
            }
        }

        change.Do();
    }

    /// <summary>DISABLE and ENABLE: whether new clients of a database are refused. Those that are here stay.</summary>
    public void Disable(string database, bool isDisabled)
    {
        lock (_lock)
        {
            _ = isDisabled ? _disabled.Add(database) : _disabled.Remove(database);
        }
    }

    public bool IsDisabled(string database)
    {
        lock (_lock)
        {
            return _disabled.Contains(database);
        }
    }

    private IEnumerable<ServerPool> Matching(string? database) =>
        database == null ? _pools.Values : _databases.GetValueOrDefault(database)?.Pools ?? [];
}
