using Pooler.Net;

namespace Pooler.Admin;

/// <summary>
/// SHOW SOCKETS, and SHOW ACTIVE_SOCKETS: those with bytes in a buffer, and the one that asks (src/admin.c, admin_show_sockets). An
/// idle client stands among the active ones, as in PgBouncer's list.
/// </summary>
internal sealed class ShowSockets(bool onlyActive) : ShowCommand(SocketRow.ColumnsWithBuffers)
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<SocketRow> clients = await ShowClients.ListAsync(console, client), servers = await ShowServers.ListAsync(console, client);
        IEnumerable<SocketRow> rows = clients.Concat(servers)
            .Where(row => !onlyActive || row.Id == client.Id || row.Unread > 0 || row.Unsent > 0)
            .Select(static row => row with { State = StateOf(row) });
        return await SocketRow.ToTable(client, [.. rows], withBuffers: true);
    }

    private static string StateOf(SocketRow row) => row.Type == "C"
        ? row.State == "waiting" ? "cl_waiting" : "cl_active"
        : row.State == "new" ? "sv_login" : "sv_" + row.State;
}
