using Pooler.Cluster;
using Pooler.Config;
using static Pooler.Monitoring.MetricKind;

namespace Pooler.Monitoring;

/// <summary>The hosts of entries with routing, as their probes have seen them last.</summary>
internal static class HostMetrics
{
    private static readonly HostRole[] s_roles = [HostRole.Primary, HostRole.Replica, HostRole.Subscriber, HostRole.Rival, HostRole.Foreign, HostRole.Unknown];

    public static IEnumerable<MetricFamily> All =>
    [
        Host("pooler.host_up", Gauge, "", "1 while the host answers its probes.", static h => h.IsUp ? 1 : 0),
        new("pooler.host_role", Gauge, "", "1 for the role that the host has, 0 for the others.", ["database", "host", "role"], static s =>
            HostsOf(s).SelectMany(static h => s_roles.Select(role => Sample.Of(h.Host.Role == role, h.Database, $"{h.Host.Address}", ClusterJournal.Word(role))))),
        Host("pooler.replica_lag_bytes", Gauge, "By", "WAL of the primary that the replica lacks, where that is known.", static h => h.Lag),
        Host("pooler.replica_lag_seconds", Gauge, "s", "How long ago the primary was where the replica is now, where that is known.", static h => h.LagTime / 1e6),
        Host("pooler.host_probe_time", Gauge, "s", "How long the last probe of the host took.", static h => h.IsUp ? h.Latency / 1e6 : null),
        Host("pooler.host_ejections", Counter, "", "How often the host was left out because it failed or was slow.", static h => h.Health.Ejections),
        new("pooler.failovers", Counter, "", "How often another host became primary, or the same after a promotion.", ["database"], static s =>
            s.Console.Clusters.All.Select(static c => Sample.Of(Math.Max(0, c.State.Epoch - 1), c.Config.Name))),
        new("pooler.reads", Counter, "", "With routing = read_write_split, leases for reads, by the role of the host they went to.", ["database", "host_role"], Reads),
    ];

    private static MetricFamily Host(string name, MetricKind kind, string unit, string meaning, Func<HostState, double?> read) => new(
        name, kind, unit, meaning, ["database", "host"], s => HostsOf(s).Where(h => read(h.Host) != null).Select(h => Sample.Of(read(h.Host)!.Value, h.Database, $"{h.Host.Address}")));

    private static IEnumerable<(string Database, HostState Host)> HostsOf(Snapshot snapshot) =>
        snapshot.Console.Clusters.All.SelectMany(static c => c.State.Hosts.Select(h => (c.Config.Name, h)));

    private static IEnumerable<Sample> Reads(Snapshot snapshot)
    {
        foreach (HostCluster cluster in snapshot.Console.Clusters.All.Where(static c => c.Config.Routing == RoutingRule.ReadWriteSplit))
        {
            string name = cluster.Config.Name;
            Pooling.PoolStats[] parts = [.. snapshot.PoolStats.Where(p => p.Key.Database == name).SelectMany(static p => p.Parts)];
            yield return Sample.Of(parts.Sum(static p => p.ReplicaReads), name, "replica");
            yield return Sample.Of(parts.Sum(static p => p.PrimaryReads), name, "primary");
        }
    }
}
