using Pooler.Config;
using Pooler.Net;

namespace Pooler.Pooling;

/// <summary>
/// Decides which pool may open another server and which server goes: sizes, shared caps, ages. Called under the lock of
/// <see cref="Pools"/>; what it decides is done after the lock was left.
/// </summary>
internal sealed class PoolGrowth(Pools pools, IoThread[] threads)
{
    /// <summary>As far as the pool itself is concerned; the caps it shares are <see cref="HasPlace"/>.</summary>
    private static bool MayGrow(ServerPool pool, long now)
    {
        PoolSettings settings = pool.Settings;
        if (pool.IsPaused || pool.ByHost != null || (pool.LoginFailure != null && now < pool.RetryAt))
        {
            return false;
        }

        if (settings.PoolSize > 0 && pool.Slots.Count >= settings.PoolSize)
        {
            bool reserve = settings.ReservePoolSize > 0 && settings.ReservePoolTimeout > TimeSpan.Zero
                && pool.Slots.Count < settings.PoolSize + settings.ReservePoolSize
                && pool.OldestWaiter is { } oldest && now - oldest.Since >= (long)settings.ReservePoolTimeout.TotalMicroseconds;
            if (!reserve)
            {
                return false;
            }
        }

        return true;
    }

    private static bool HasPlace(ServerPool pool) =>
        (pool.Settings.MaxDbConnections == 0 || pool.Database.Servers < pool.Settings.MaxDbConnections)
        && (pool.Settings.MaxUserConnections == 0 || pool.User.Servers < pool.Settings.MaxUserConnections);

    /// <summary>Opens servers while more clients wait than servers are being opened, on the threads of the waiters.</summary>
    public void EnsureServers(ServerPool pool, long now, ref PoolTodo todo)
    {
        int waiting = pool.Waiting;
        if (waiting == 0)
        {
            return;
        }

        int toOpen = waiting - pool.Opening;
        while (toOpen-- > 0 && MayGrow(pool, now))
        {
            if (!HasPlace(pool))
            {
                EvictNeighbour(pool, ref todo);
                return;
            }

            Open(pool, pool.OldestWaiter!.Thread!, ref todo);
        }
    }

    public void EnsureMinimum(ServerPool pool, long now, ref PoolTodo todo)
    {
        // PgBouncer keeps the minimum only for pools with a forced user or a client.
        int minimum = pool.Settings.PoolSize > 0 ? Math.Min(pool.Settings.MinPoolSize, pool.Settings.PoolSize) : pool.Settings.MinPoolSize;
        bool isWanted = pool.Front.Clients > 0 || pool.DatabaseConfig.ForcedUser != null;
        for (int n = pool.Slots.Count; isWanted && n < minimum && MayGrow(pool, now) && HasPlace(pool); n++)
        {
            Open(pool, threads[n % threads.Length], ref todo);
        }
    }

    private void Open(ServerPool pool, IoThread thread, ref PoolTodo todo)
    {
        var slot = new ServerSlot(pools, pool, thread);
        pool.Slots.Add(slot);
        pool.Opening++;
        pool.Database.Servers++;
        pool.User.Servers++;
        todo.Add(thread, slot.Server.Start);
    }

    /// <summary>A cap shared with other pools binds: the longest idle server of one of them gives way (PgBouncer's evict_connection).</summary>
    private static void EvictNeighbour(ServerPool pool, ref PoolTodo todo)
    {
        PoolSettings settings = pool.Settings;
        bool byDatabase = settings.MaxDbConnections > 0 && pool.Database.Servers >= settings.MaxDbConnections;
        bool byUser = settings.MaxUserConnections > 0 && pool.User.Servers >= settings.MaxUserConnections;
        if (!byDatabase && !byUser)
        {
            return;
        }

        ServerSlot? oldest = null;
        foreach (ServerPool neighbour in byDatabase ? pool.Database.Pools : pool.User.Pools)
        {
            foreach (SlotList list in neighbour.Idle)
            {
                if (list.Oldest is { } slot && (oldest == null || slot.IdleSince < oldest.IdleSince))
                {
                    oldest = slot;
                }
            }
        }

        if (oldest != null)
        {
            oldest.Pool.Idle[oldest.Server.Thread.Index].Remove(oldest);
            oldest.State = SlotState.Housekeeping;
            todo.Add(oldest.Server.Thread, oldest.Evict);
        }
    }

    /// <summary>A place under a shared cap may be free: of the pools that share it, the one whose client has waited longest comes first.</summary>
    public void EnsureNeighbours(ServerPool pool, long now, ref PoolTodo todo)
    {
        if (pool.Database.Pools.Exists(static p => p.HasWaiters) || pool.User.Pools.Exists(static p => p.HasWaiters))
        {
            var neighbours = pool.Database.Pools.Union(pool.User.Pools).Where(static p => p.HasWaiters).ToList();
            foreach (ServerPool neighbour in neighbours.OrderBy(static p => p.OldestWaiter!.Since))
            {
                EnsureServers(neighbour, now, ref todo);
            }
        }
    }

    public static void CollectExpired(ServerPool pool, long now, List<ServerSlot> expired)
    {
        long idleLimit = (long)pool.Settings.ServerIdleTimeout.TotalMicroseconds;
        int surplus = pool.Slots.Count - pool.Settings.MinPoolSize;
        foreach (SlotList list in pool.Idle)
        {
            for (ServerSlot? slot = list.Oldest, next; slot != null; slot = next)
            {
                next = slot.Newer;
                bool isIdleTooLong = idleLimit > 0 && now - slot.IdleSince > idleLimit && surplus > 0;
                if (isIdleTooLong || IsTooOld(slot, now))
                {
                    list.Remove(slot);
                    slot.State = SlotState.Housekeeping;
                    expired.Add(slot);
                    surplus--;
                }
            }
        }
    }

    public static bool IsTooOld(ServerSlot slot, long now)
    {
        PoolSettings settings = slot.Pool.Settings;

        // PgBouncer closes by age only what is idle and not needed; 0 means a server is used once.
        return settings.ServerLifetime == TimeSpan.Zero
            ? slot.HasServed
            : slot.Pool.Waiting == 0 && now - slot.Server.StartedAt > (long)settings.ServerLifetime.TotalMicroseconds;
    }
}
