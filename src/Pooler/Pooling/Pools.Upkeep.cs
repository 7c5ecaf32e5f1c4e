using System.Collections.Immutable;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;

namespace Pooler.Pooling;

/// <summary>What time, a RELOAD, the cluster and the name service do to pools.</summary>
internal sealed partial class Pools
{
    /// <summary>What is due by time alone: new servers for waiters, minimum size, servers idle or alive too long.</summary>
    public void Maintain(long now)
    {
        foreach (DatabaseConfig database in _source.KeptWithoutClients)
        {
            Get(database, database.ForcedUser!);
        }

        List<ServerSlot> replaced = [];
        var expired = new PoolChange();
        List<Waiter> failed = [];
        List<ServerPool> unused = [];
        var todo = default(PoolTodo);
        lock (_lock)
        {
            foreach (ServerPool pool in _pools.Values)
            {
                PoolGrowth.CloseExpired(pool, now, expired);
                PoolGrowth.CollectReplaced(pool, replaced);
                pool.ByHost?.FailHeld(pool, now, failed);
                _growth.EnsureServers(pool, now, ref todo);
                _growth.EnsureMinimum(pool, now, ref todo);
                if (IsUnused(pool, now))
                {
                    unused.Add(pool);
                }
            }

            unused.ForEach(Forget);
        }

        todo.Do();
        foreach (ServerSlot slot in replaced)
        {
            slot.Server.Thread.Post(() => slot.Server.Owner.EndIfFree(slot.Server, SessionErrors.DatabaseChanged.Fields()));
        }

        expired.Do();
        failed.ForEach(static w => w.PostWake());
    }

    /// <summary>Puts new settings in force; servers made under another target close at their release.</summary>
    public void Reconfigure(long now)
    {
        var change = new PoolChange();
        var todo = default(PoolTodo);
        lock (_lock)
        {
            foreach (ServerPool pool in _pools.Values.ToArray())
            {
                bool isRouted = pool.Key.Host != null || pool.ByHost != null;
                if (_source.Reconfigure(pool) | HasMoved(pool))
                {
                    change.Retire(pool, "database configuration changed");
                }

                SetHosts(pool);

                if (isRouted || pool.ByHost != null)
                {
                    change.Reroute(pool);
                }

                _growth.EnsureServers(pool, now, ref todo);
            }
        }

        todo.Do();
        change.Do();
    }

    /// <summary>A cluster's hosts have changed, on any thread.</summary>
    public void HostsChanged(HostCluster cluster, ClusterState before, ClusterState after)
    {
        var change = new PoolChange();
        lock (_lock)
        {
            foreach (ServerPool front in _pools.Values.Where(p => p.ByHost?.Cluster == cluster))
            {
                change.Reroute(front);
                front.ByHost!.Changed(before, after, change);
            }
        }

        change.Do();
    }

    /// <summary>
    /// A host's name stands for other addresses now: servers at those that are gone are closed when they are released (PgBouncer's
    /// tag_host_addr_dirty). Any thread.
    /// </summary>
    public void AddressesChanged(string name, ImmutableArray<System.Net.IPAddress> addresses) =>
        Change(null, (pool, change) => change.Retire(pool, Moved, slot => slot.Server.Host.Name == name && !slot.Server.IsAtOneOf(addresses)));

    /// <summary>The names of hosts to which there are servers, and of those that are probed.</summary>
    public HashSet<string> NamesInUse()
    {
        List<HostAddress> hosts = [.. _source.ProbedHosts];
        lock (_lock)
        {
            hosts.AddRange(_pools.Values.Where(static p => p.Slots.Count > 0).SelectMany(static p => p.Target.Hosts));
        }

        return [.. hosts.Where(static h => h.IsName).Select(static h => h.Name)];
    }

    /// <summary>Whether clients of the cluster hold servers of a host, or are about to.</summary>
    public bool IsUsed(HostCluster cluster, HostAddress host)
    {
        lock (_lock)
        {
            return _pools.Values.Where(p => p.ByHost?.Cluster == cluster).SelectMany(static p => p.ByHost!.Pools).Where(p => p.Key.Host == host)
                .Any(static p => p.Slots.Any(static s => s.State is SlotState.Active or SlotState.Moving));
        }
    }

    /// <summary>After a RELOAD. True when the pool had servers of its own and has them by host now, or the other way round.</summary>
    private bool HasMoved(ServerPool pool)
    {
        if (pool.Key.Host != null)
        {
            return _source.ClusterOf(pool.Key.Database) == null;
        }

        bool had = pool.ByHost != null;
        pool.ByHost = HostsOf(pool);
        pool.ByHost?.Wrote(IoThread.Clock()); // What was known of writes went with the old ones.
        bool hasMoved = had != (pool.ByHost != null);
        if (hasMoved)
        {
            pool.ForgetWelcome();
        }

        return hasMoved;
    }

    /// <summary>
    /// Whether nobody has used it for so long that it is forgotten: pool_idle_timeout, for all pools of a database made from the entry
    /// * autodb_idle_timeout, and at once when its entry is gone. Those of hosts belong to others.
    /// </summary>
    private bool IsUnused(ServerPool pool, long now)
    {
        if (pool.Clients > 0 || pool.Slots.Count > 0 || pool.HasWaiters || pool.IsPaused || pool.Key.Host != null || pool.ByHost != null || pool.IsShared)
        {
            pool.UnusedSince = 0;
            return false;
        }

        pool.UnusedSince = pool.UnusedSince == 0 ? now : pool.UnusedSince;
        (long ofPool, long ofDatabase) = _source.UnusedLimitsOf(pool.Key.Database);
        return pool.IsRemoved || now - pool.UnusedSince > ofPool || pool.Database.Pools.TrueForAll(p => p.UnusedSince > 0 && now - p.UnusedSince > ofDatabase);
    }

    private void Forget(ServerPool pool)
    {
        _pools.Remove(pool.Key);
        pool.Leave(pool.Database);
        pool.Leave(pool.User);
        pool.Hosts = [];
        pool.Lender = null;
        if (pool.Database.Pools.Count == 0)
        {
            _databases.Remove(pool.Key.Database);
        }
    }
}
