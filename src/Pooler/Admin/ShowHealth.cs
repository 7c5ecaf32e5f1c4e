using Pooler.Cluster;
using Pooler.Net;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW HEALTH (ours): whether the hosts of entries with routing may be given work, and what went wrong with them last. Times are ages.</summary>
internal sealed class ShowHealth() : ShowCommand(
    Text("database"), Text("host"), Int4("port"), Text("state"), Int8("since_us"), Int4("failures"), Int4("slow_probes"), Text("last_error"),
    Int8("last_error_us"), Int8("latency_us"), Int4("ejections"), Int8("next_try_us"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        long now = IoThread.Clock();
        foreach (HostCluster cluster in console.Clusters.All)
        {
            foreach (HostState host in cluster.State.Hosts)
            {
                HostHealth health = host.Health;
                table.Add(
                    cluster.Config.Name,
                    ShowHosts.NameOf(host.Address),
                    $"{host.Address.Port}",
                    ClusterJournal.Word(health.State),
                    health.Since == 0 ? null : $"{now - health.Since}",
                    $"{health.Failures}",
                    $"{health.SlowProbes}",
                    health.LastProblem,
                    health.LastProblem == null ? null : $"{now - health.LastProblemAt}",
                    host.IsUp ? $"{host.Latency}" : null,
                    $"{health.Ejections}",
                    health.State == HealthState.Ejected ? $"{Math.Max(0, health.NextTry - now)}" : null);
            }
        }
    }
}
