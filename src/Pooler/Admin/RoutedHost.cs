using Pooler.Cluster;
using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>A host of an entry with routing as it was last seen, and what our pools have there.</summary>
internal sealed record RoutedHost(HostCluster Cluster, HostState Host, string? Trouble, PoolFacts[] Pools)
{
    public string Status => Host.IsUp ? "up" : Host.SeenAt == 0 ? "new" : "down";

    /// <summary>Microseconds since it was probed last; null: it never was.</summary>
    public long? SeenAgo => Host.SeenAt == 0 ? null : Math.Max(0, IoThread.Clock() - Host.SeenAt);

    public int Waiting => Pools.Sum(static p => p.Waiting);

    public int Active => Pools.Sum(static p => p.Active);

    public int Idle => Pools.Sum(static p => p.Idle + p.Used);

    public int Login => Pools.Sum(static p => p.Login);

    /// <summary>All of them, by entry. Any thread.</summary>
    public static List<RoutedHost> ReadAll(AdminConsole console)
    {
        ILookup<string, PoolFacts> pools = PoolFacts.ReadByHost(console.Pools).ToLookup(static p => p.Database);
        List<RoutedHost> hosts = [];
        foreach (HostCluster cluster in console.Clusters.All)
        {
            ClusterState state = cluster.State;
            hosts.AddRange(state.Hosts.Select(h => new RoutedHost(
                cluster, h, ClusterJournal.Trouble(state, h), [.. pools[cluster.Config.Name].Where(p => p.Host == h.Address)])));
        }

        return hosts;
    }
}
