using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW HOSTS (ours): the hosts of entries with routing as they were last seen.</summary>
internal sealed class ShowHosts() : ShowCommand(
    Text("database"), Text("host"), Int4("port"), Text("role"), Text("status"), Text("routing"), Int4("timeline"), Text("lsn"), Int8("lag_bytes"),
    Int8("lag_us"), Int8("probe_us"), Int8("seen_us"), Text("started_at"), Int4("server_version"), Text("system_identifier"), Text("problem"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        long now = IoThread.Clock();
        foreach (HostCluster cluster in console.Clusters.All)
        {
            foreach (HostState host in cluster.State.Hosts)
            {
                HostFacts? facts = host.Facts;
                table.Add(
                    cluster.Config.Name,
                    host.Address.Name.Length > 0 ? host.Address.Name : null,
                    $"{host.Address.Port}",
                    HostCluster.Word(host.Role),
                    host.IsUp ? "up" : host.SeenAt == 0 ? "new" : "down",
                    Settings.Routing.Format(cluster.Config.Routing),
                    facts == null ? null : $"{facts.Timeline}",
                    facts == null ? null : $"{facts.Position >> 32:X}/{facts.Position & 0xFFFF_FFFF:X}",
                    host.Lag is { } lag ? $"{lag}" : null,
                    host.LagTime is { } time ? $"{time}" : null,
                    host.IsUp ? $"{host.Latency}" : null,
                    host.SeenAt == 0 ? null : $"{now - host.SeenAt}",
                    facts?.StartedAt.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", System.Globalization.CultureInfo.InvariantCulture),
                    facts == null ? null : $"{facts.ServerVersion}",
                    facts?.SystemIdentifier,
                    host.Problem);
            }
        }
    }
}
