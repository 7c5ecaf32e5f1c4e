using Pooler.Config;
using Pooler.Session;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PEERS (src/admin.c, admin_show_peers): the entries of [peers], this process's own among them.</summary>
internal sealed class ShowPeers() : ShowCommand(Int4("peer_id"), Text("host"), Int4("port"), Int4("pool_size"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        foreach (PeerConfig peer in config.Peers.Values)
        {
            table.Add($"{peer.Id}", peer.Host.Name, $"{peer.Host.Port}", $"{Peers.SizeOf(config, peer)}");
        }
    }
}
