using System.Globalization;
using Pooler.Cluster;
using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW HOSTS (ours): the hosts of entries with routing as they were last seen, and the servers of each.</summary>
internal sealed class ShowHosts() : ShowCommand(
    Text("database"), Text("host"), Int4("port"), Text("role"), Text("status"), Text("routing"), Int4("timeline"), Text("lsn"), Int8("lag_bytes"),
    Int8("lag_us"), Int8("probe_us"), Int8("seen_us"), Text("started_at"), Int4("server_version"), Text("system_identifier"), Text("problem"),
    Text("received_lsn"), Text("sync_state"), Int4("streaming"), Int4("replay_paused"), Int4("read_only"),
    Int4("cl_waiting"), Int4("sv_active"), Int4("sv_idle"), Int4("sv_login"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (RoutedHost routed in RoutedHost.ReadAll(console))
        {
            (ClusterConfig config, HostState host, HostFacts? facts) = (routed.Cluster.Config, routed.Host, routed.Host.Facts);
            table.Add(
                config.Name,
                NameOf(host.Address),
                $"{host.Address.Port}",
                ClusterJournal.Word(host.Role),
                routed.Status,
                Settings.Routing.Format(config.Routing),
                facts == null ? null : $"{facts.Timeline}",
                Lsn(facts?.Position),
                host.Lag is { } lag ? $"{lag}" : null,
                host.LagTime is { } time ? $"{time}" : null,
                host.IsUp ? $"{host.Latency}" : null,
                routed.SeenAgo is { } seen ? $"{seen}" : null,
                facts?.StartedAt.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture),
                facts == null ? null : $"{facts.ServerVersion}",
                facts?.SystemIdentifier,
                routed.Trouble,
                Lsn(facts?.Received),
                host.SyncState,
                facts is { IsInRecovery: true } ? Flag(facts.IsStreaming) : null,
                facts is { IsInRecovery: true } ? Flag(facts.IsPaused) : null,
                facts == null ? null : Flag(facts.IsReadOnly || facts.IsInRecovery),
                $"{routed.Waiting}",
                $"{routed.Active}",
                $"{routed.Idle}",
                $"{routed.Login}");
        }
    }

    public static string? NameOf(HostAddress host) => host.Name.Length > 0 ? host.Name : null;

    /// <summary>As PostgreSQL writes pg_lsn.</summary>
    public static string? Lsn(long? position) => position is { } at ? WalPosition.Text(at) : null;

    private static string Flag(bool value) => value ? "1" : "0";
}
