using Pooler.Session;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PEER_POOLS (src/admin.c, admin_show_peer_pools): the cancel requests on their way to each peer that has had one.</summary>
internal sealed class ShowPeerPools() : ShowCommand(
    Int4("peer_id"), Int4("cl_active_cancel_req"), Int4("cl_waiting_cancel_req"), Int4("sv_active_cancel"), Int4("sv_login"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach ((int id, PeerPool pool) in console.Peers.Pools)
        {
            // PgBouncer: a request waits until its connection stands.
            (int waiting, int connecting, int sent) = (pool.Waiting, pool.Connecting, pool.Sent);
            table.Add($"{id}", $"{sent}", $"{waiting + connecting}", $"{sent}", $"{connecting}");
        }
    }
}
