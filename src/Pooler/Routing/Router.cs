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
            RoutingRule.Replica => Replica(hosts, state),
            RoutingRule.PreferReplica => Replica(hosts, state) ?? WritablePrimary(state),
            _ => WritablePrimary(state),
        };
        return index is { } host ? hosts.Pools[host] : pool;
    }

    /// <summary>Whether another choice may be right by now; samples alone, of which there are many, change nothing.</summary>
    public static bool HasChanged(ServerPool pool, ClusterState? seen) =>
        pool.ByHost?.Cluster is not { State: var state } cluster ? seen != null
        : seen == null || (!ReferenceEquals(state, seen) && !state.RoutesAs(seen, cluster.Config));

    private static int? WritablePrimary(ClusterState state) => state.WritablePrimary != null ? state.Primary : null;

    /// <summary>One of the replicas that are fresh enough.</summary>
    private static int? Replica(HostPools hosts, ClusterState state)
    {
        ulong fresh = 0;
        for (int i = 0; i < state.Hosts.Length; i++)
        {
            fresh |= state.Hosts[i].ServesReads(hosts.Cluster.Config) ? 1ul << i : 0;
        }

        return LoadBalance.Pick(hosts, state, fresh);
    }
}
