using Pooler.Config;
using Pooler.Net;

namespace Pooler.Pooling;

/// <summary>
/// Decides which pool may open another server and which server goes: sizes, shared caps, ages. Called under the lock of
/// <see cref="Pools"/>; what it decides is done after the lock was left.
/// </summary>
internal sealed class PoolGrowth(Pools pools, IoThread[] threads)
{
    // Microseconds.
    private const long WorthALogin = 100_000, LookPause = 10_000;

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

    /// <summary>Whether the caps it shares leave a place, or would if a server went.</summary>
    private static bool HasPlace(ServerPool pool, ServerSlot? leaving = null) =>
        HasPlace(pool.Database, pool.Settings.MaxDbConnections, leaving?.Pool.Database)
        && HasPlace(pool.User, pool.Settings.MaxUserConnections, leaving?.Pool.User)
        && HasHost(pool, leaving);

    private static bool HasPlace(ServerCount count, int most, ServerCount? freed) => most == 0 || count.Servers - (count == freed ? 1 : 0) < most;

    /// <summary>Whether one of the hosts that a new server may go to has a place.</summary>
    private static bool HasHost(ServerPool pool, ServerSlot? leaving)
    {
        int most = pool.Settings.MaxHostConnections;
        if (most > 0 && pool.Target.OnlyHost is { } only)
        {
            return HasPlace(pool.Hosts[only], most, leaving?.Host);
        }

        return most == 0 || Array.Exists(pool.Hosts, host => HasPlace(host, most, leaving?.Host));
    }

    /// <summary>The host of a new server: the next, or the next that has a place.</summary>
    private static int HostFor(ServerPool pool)
    {
        int host = pool.Target.NextHost(), most = pool.Settings.MaxHostConnections;
        for (int i = 0; i < pool.Hosts.Length && pool.Target.OnlyHost == null && !HasPlace(pool.Hosts[host], most, freed: null); i++)
        {
            host = (host + 1) % pool.Hosts.Length;
        }

        return host;
    }

    /// <summary>Opens servers while more clients wait than servers are being opened, on the threads of the waiters.</summary>
    public void EnsureServers(ServerPool pool, long now, ref PoolTodo todo)
    {
        int waiting = pool.Waiting;
        if (waiting == 0)
        {
            return;
        }

        int toOpen = waiting - pool.Opening - pool.PlacesToCome;
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
        var slot = new ServerSlot(pools, pool, HostFor(pool), thread);
        pool.Slots.Add(slot);
        pool.Opening++;
        pool.Database.Servers++;
        pool.User.Servers++;
        slot.Host.Servers++;
        todo.Add(thread, slot.Server.Start);
    }

    /// <summary>A cap shared with other pools binds: the longest idle server of one of them gives way (PgBouncer's evict_connection).</summary>
    private static void EvictNeighbour(ServerPool pool, ref PoolTodo todo)
    {
        PoolSettings settings = pool.Settings;
        ServerSlot? oldest = !HasPlace(pool.Database, settings.MaxDbConnections, freed: null) ? OldestIdle(pool.Database, host: null)
            : !HasPlace(pool.User, settings.MaxUserConnections, freed: null) ? OldestIdle(pool.User, host: null)
            : OldestOnHosts(pool);
        if (oldest != null)
        {
            oldest.Pool.Idle[oldest.Server.Thread.Index].Remove(oldest);
            oldest.State = SlotState.Housekeeping;
            MakeWay(oldest, pool);
            todo.Add(oldest.Server.Thread, oldest.Evict);
        }
    }

    private static void MakeWay(ServerSlot slot, ServerPool pool)
    {
        slot.GivesWayTo = pool;
        pool.PlacesToCome++;
    }

    private static ServerSlot? OldestOnHosts(ServerPool pool)
    {
        ServerSlot? oldest = null;
        for (int i = 0; i < pool.Hosts.Length; i++)
        {
            bool mayTakeIt = pool.Target.OnlyHost is not { } only || only == i;
            if (mayTakeIt && OldestIdle(pool.Hosts[i], pool.Hosts[i]) is { } slot && (oldest == null || slot.IdleSince < oldest.IdleSince))
            {
                oldest = slot;
            }
        }

        return oldest;
    }

    /// <summary>The longest idle server under a cap; of a pool with several hosts only one on this host will do.</summary>
    private static ServerSlot? OldestIdle(ServerCount count, ServerCount? host)
    {
        ServerSlot? oldest = null;
        foreach (ServerPool neighbour in count.Pools)
        {
            foreach (SlotList list in neighbour.Idle)
            {
                ServerSlot? slot = list.Oldest;
                while (slot != null && host != null && slot.Host != host)
                {
                    slot = slot.Newer;
                }

                if (slot != null && (oldest == null || slot.IdleSince < oldest.IdleSince))
                {
                    oldest = slot;
                }
            }
        }

        return oldest;
    }

    /// <summary>
    /// A released server goes, although its own pool could use it: a shared cap binds, and the client of another pool that could open
    /// one in its place has waited longer, by enough to be worth a login. Without that a busy pool keeps its places for ever.
    /// </summary>
    public static bool GivesWay(ServerSlot slot, long now)
    {
        PoolSettings settings = slot.Pool.Settings;
        if (!settings.HasSharedCap)
        {
            return false;
        }

        ServerPool? other = LongestWaiting(slot, slot.Pool.Database, settings.MaxDbConnections, now)
            ?? LongestWaiting(slot, slot.Pool.User, settings.MaxUserConnections, now)
            ?? LongestWaiting(slot, slot.Host, settings.MaxHostConnections, now);
        if (other != null)
        {
            MakeWay(slot, other);
        }

        return other != null;
    }

    private static ServerPool? LongestWaiting(ServerSlot slot, ServerCount count, int most, long now)
    {
        bool isFull = most > 0 && !HasPlace(count, most, freed: null);
        if (!isFull || count.Waiting.Count <= (slot.Pool.HasWaiters ? 1 : 0) || now < count.LookAt)
        {
            return null;
        }

        count.LookAt = now + LookPause; // Among thousands of pools this is not for every release.
        ServerPool? longest = null;
        long since = (slot.Pool.OldestWaiter?.Since ?? now) - WorthALogin;
        foreach (ServerPool other in count.Waiting)
        {
            if (other != slot.Pool && other.Opening + other.PlacesToCome == 0 && other.OldestWaiter!.Since < since && MayGrow(other, now) && HasPlace(other, slot))
            {
                longest = other;
                since = other.OldestWaiter.Since;
            }
        }

        return longest;
    }

    /// <summary>A place under a shared cap may be free: of the pools that share it, the one whose client has waited longest comes first.</summary>
    public void EnsureNeighbours(ServerSlot slot, long now, ref PoolTodo todo)
    {
        ServerPool pool = slot.Pool;
        if (pool.Database.Waiting.Count + pool.User.Waiting.Count + slot.Host.Waiting.Count > 0)
        {
            var neighbours = pool.Database.Waiting.Union(pool.User.Waiting).Union(slot.Host.Waiting).ToList();
            foreach (ServerPool neighbour in neighbours.OrderBy(static p => p.OldestWaiter!.Since))
            {
                EnsureServers(neighbour, now, ref todo);
            }
        }
    }

    public static void CloseExpired(ServerPool pool, long now, PoolChange change)
    {
        long idleLimit = (long)pool.Settings.ServerIdleTimeout.TotalMicroseconds;
        int surplus = pool.Slots.Count - pool.Settings.MinPoolSize;
        foreach (SlotList list in pool.Idle)
        {
            for (ServerSlot? slot = list.Oldest, next; slot != null; slot = next)
            {
                next = slot.Newer;
                string? reason = pool is { IsRemoved: true, Clients: 0 } ? "database removed"
                    : idleLimit > 0 && now - slot.IdleSince > idleLimit && surplus > 0 ? "server idle timeout"
                    : EndsByAge(slot, now) ? "server lifetime over"
                    : null;
                if (reason != null)
                {
                    change.CloseIdle(slot, reason);
                    surplus--;
                }
            }
        }
    }

    /// <summary>server_fast_close: what is to be replaced and is with a client. The client's own thread knows whether it may go.</summary>
    public static void CollectReplaced(ServerPool pool, List<ServerSlot> replaced)
    {
        if (pool.Settings.ServerFastClose)
        {
            replaced.AddRange(pool.Slots.Where(static slot => slot is { CloseNeeded: true, State: SlotState.Active }));
        }
    }

    /// <summary>
    /// Whether it goes for its age, now that it is idle and not needed. As in PgBouncer (src/objects.c, life_over) those of a pool go
    /// one after the other, at least the pool_size-th part of server_lifetime apart.
    /// </summary>
    public static bool EndsByAge(ServerSlot slot, long now)
    {
        ServerPool pool = slot.Pool;
        long lifetime = (long)pool.Settings.ServerLifetime.TotalMicroseconds;
        if (lifetime == 0)
        {
            return slot.HasServed; // It is used once.
        }

        long gap = pool.Settings.PoolSize > 0 ? lifetime / pool.Settings.PoolSize : 0;
        bool ends = !pool.HasWaiters && now - slot.Server.StartedAt > (long)(lifetime * slot.LifeShare) && now - pool.LastAgedOut >= gap;
        pool.LastAgedOut = ends ? now : pool.LastAgedOut;
        return ends;
    }
}
