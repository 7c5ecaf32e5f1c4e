using System.Collections.Immutable;
using Pooler.Cluster;
using Pooler.Errors;

namespace Pooler.Pooling;

/// <summary>
/// With routing: one pool for each host of the cluster, in its order. The pool that the clients belong to has no servers then; who
/// finds no host waits there.
/// </summary>
internal sealed class HostPools(HostCluster cluster, ImmutableArray<ServerPool> pools)
{
    private uint _turn;
    private long _wroteAt;

    public HostCluster Cluster => cluster;

    public ImmutableArray<ServerPool> Pools => pools;

    /// <summary>When one of these clients may have written last, by IoThread.Clock; kept with read_after_write = user.</summary>
    public long WroteAt => Volatile.Read(ref _wroteAt);

    /// <summary>From any thread.</summary>
    public void Wrote(long now)
    {
        long last = WroteAt;
        while (now > last && Interlocked.CompareExchange(ref _wroteAt, now, last) is var seen && seen != last)
        {
            last = seen;
        }
    }

    /// <summary>Counts up, for those who take hosts in turn; any thread.</summary>
    public uint NextTurn() => Interlocked.Increment(ref _turn);

    /// <summary>Who has waited for failover_hold_time waits no longer; before every host was asked once nobody knows.</summary>
    public void FailHeld(ServerPool front, long now, List<Waiter> failed)
    {
        if (front.HasWaiters && cluster.State.IsKnown)
        {
            front.DequeueHeld(now - (long)cluster.Config.FailoverHoldTime.TotalMicroseconds, cluster, failed);
        }
    }

    /// <summary>
    /// The hosts have changed. Who waits asks again; servers of a host that is another now (primary, replica) go when they are given
    /// back, at once those of one that does not answer, or that takes writes although another is primary by now.
    /// </summary>
    public void Changed(ClusterState before, ClusterState after, PoolChange change)
    {
        for (int i = 0; i < after.Hosts.Length; i++)
        {
            ServerPool pool = pools[i];
            HostState was = before.Hosts[i], host = after.Hosts[i];
            change.Reroute(pool);
            if (host.IsUp)
            {
                pool.LoginFailure = null; // It may be tried again.
            }
            else if (was.IsUp)
            {
                change.Cut(pool, ServerErrors.HostDown.Fields(host.Problem));
            }

            if (host.Role == HostRole.Subscriber && was.Role != HostRole.Subscriber)
            {
                change.CutWritable(pool, ServerErrors.Subscriber.Fields()); // Opened before that was known (min_pool_size).
            }

            if (host.Role == HostRole.Rival && was.Role == HostRole.Primary)
            {
                change.Cut(pool, ServerErrors.Demoted.Fields());
            }
            else if (was.Role != host.Role && was.Role != HostRole.Unknown)
            {
                change.Retire(pool, "host has another role");
            }
        }
    }
}
