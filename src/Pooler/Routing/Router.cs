using System.Collections.Immutable;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Pooling;

namespace Pooler.Routing;

/// <summary>
/// Step 5: which pool a request goes to. Without routing it is the client's own; with it that of a host, chosen by what the cluster
/// looks like at the moment, or the client's own again, where it waits until a host can take it.
/// </summary>
internal static class Router
{
    /// <param name="seen">What the choice rests on; null without routing.</param>
    public static ServerPool Choose(ServerPool pool, out ClusterState? seen)
    {
        seen = null;
        if (pool.ByHost is not { } hosts)
        {
            return pool;
        }

        ClusterState state = seen = hosts.Cluster.State;
        int? index = hosts.Cluster.Config.Routing switch
        {
            RoutingRule.Replica => LeastBusyReplica(hosts, state),
            RoutingRule.PreferReplica => LeastBusyReplica(hosts, state) ?? WritablePrimary(state),
            _ => WritablePrimary(state),
        };
        return index is { } host ? hosts.Pools[host] : pool;
    }

    /// <summary>Whether another choice may be right by now; samples alone, of which there are many, change nothing.</summary>
    public static bool HasChanged(ServerPool pool, ClusterState? seen) =>
        pool.ByHost?.Cluster is not { State: var state } cluster ? seen != null
        : seen == null || (!ReferenceEquals(state, seen) && !state.RoutesAs(seen, cluster.Config));

    private static int? WritablePrimary(ClusterState state) => state.WritablePrimary != null ? state.Primary : null;

    /// <summary>Of the replicas that are fresh enough the one with the fewest clients at work or waiting, the first of several.</summary>
    private static int? LeastBusyReplica(HostPools hosts, ClusterState state)
    {
        int? best = null;
        int least = int.MaxValue;
        ImmutableArray<HostState> all = state.Hosts;
        for (int i = 0; i < all.Length; i++)
        {
            if (all[i].ServesReads(hosts.Cluster.Config) && hosts.Pools[i].Load is var load && load < least)
            {
                (best, least) = (i, load);
            }
        }

        return best;
    }
}
