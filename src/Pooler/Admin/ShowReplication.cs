using Pooler.Cluster;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW REPLICATION (ours): who receives the WAL of each host of an entry with routing, as the sender saw it last: standbys, those behind
/// a standby, logical subscribers. host and port are those of the entry's host that the receiver is known to be.
/// </summary>
internal sealed class ShowReplication() : ShowCommand(
    Text("database"), Text("sender_host"), Int4("sender_port"), Text("host"), Int4("port"), Text("application_name"), Text("client_addr"), Text("kind"),
    Text("slot_name"), Text("state"), Text("sync_state"), Text("sent_lsn"), Text("flush_lsn"), Text("replay_lsn"), Int8("lag_bytes"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (HostCluster cluster in console.Clusters.All)
        {
            ClusterState state = cluster.State;
            foreach (HostState sender in state.Hosts.Where(static h => h is { IsUp: true, Facts: not null }))
            {
                foreach (WalReceiver receiver in sender.Facts!.Receivers)
                {
                    HostState? host = state.Hosts.FirstOrDefault(h => ReferenceEquals(Lagging.ReceiverOf(sender.Facts, h, state.Hosts), receiver));
                    table.Add(
                        cluster.Config.Name,
                        ShowHosts.NameOf(sender.Address),
                        $"{sender.Address.Port}",
                        host == null ? null : ShowHosts.NameOf(host.Address),
                        host == null ? null : $"{host.Address.Port}",
                        receiver.Application,
                        receiver.Address,
                        receiver.IsLogical ? "logical" : "physical",
                        receiver.Slot,
                        receiver.State,
                        receiver.SyncState,
                        ShowHosts.Lsn(receiver.Sent),
                        ShowHosts.Lsn(receiver.Flushed),
                        ShowHosts.Lsn(receiver.Replayed),
                        receiver.Replayed is { } replayed ? $"{Math.Max(0, sender.Position - replayed)}" : null);
                }
            }
        }
    }
}
