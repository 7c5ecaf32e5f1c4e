using System.Collections.Frozen;
using System.Collections.Immutable;
using Pooler.Errors;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>SHOW x, and SELECT x, which PgBouncer takes for the same (src/admin.c, cmd_list).</summary>
internal sealed class Show : ConsoleCommand
{
    private static readonly FrozenDictionary<string, ShowCommand> Tables = new Dictionary<string, ShowCommand>
    {
        ["active_sockets"] = new ShowSockets(onlyActive: true),
        ["clients"] = new ShowClients(),
        ["config"] = new ShowConfig(),
        ["databases"] = new ShowDatabases(),
        ["dns_hosts"] = new ShowDnsHosts(),
        ["dns_zones"] = new ShowDnsZones(),
        ["health"] = new ShowHealth(),
        ["hosts"] = new ShowHosts(),
        ["lists"] = new ShowLists(),
        ["mem"] = new ShowMem(),
        ["peer_pools"] = new ShowPeerPools(),
        ["peers"] = new ShowPeers(),
        ["pins"] = new ShowPins(),
        ["pins_totals"] = new ShowPinsTotals(),
        ["pools"] = new ShowPools(),
        ["prepared"] = new ShowPrepared(),
        ["replication"] = new ShowReplication(),
        ["servers"] = new ShowServers(),
        ["sockets"] = new ShowSockets(onlyActive: false),
        ["state"] = new ShowState(),
        ["statements"] = new ShowStatements(),
        ["stats"] = new ShowStats(),
        ["stats_averages"] = new ShowStatsAverages(),
        ["stats_totals"] = new ShowStatsTotals(),
        ["totals"] = new ShowTotals(),
        ["users"] = new ShowUsers(),
        ["version"] = new ShowVersion(),

        // What drivers ask at login gets fixed answers (src/admin.c, show_map and admin_show_…).
        ["client_encoding"] = new ShowFixed("client_encoding", "UTF-8"),
        ["datestyle"] = new ShowFixed("datestyle", "ISO"),
        ["default_transaction_isolation"] = new ShowFixed("default_transaction_isolation", "read committed"),
        ["standard_conforming_strings"] = new ShowFixed("standard_conforming_strings", "on"),
        ["timezone"] = new ShowFixed("timezone", "GMT"),
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    internal override bool IsAdminOnly => false;

    internal override ImmutableArray<ColumnDescription> ColumnsOf(ConsoleStatement statement) =>
        statement.Text != null ? ShowRoute.Columns : Tables.TryGetValue(statement.Argument, out ShowCommand? command) ? command.Columns : [];

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        if (statement.Argument.Equals("help", StringComparison.OrdinalIgnoreCase))
        {
            new MessageWriter(session.Client.Outbox).WriteNotice("NOTICE", "00000", "Console usage", ConsoleHelp.Text);
        }
        else if (statement.Text != null)
        {
            await ShowRoute.RunAsync(session, statement);
            return;
        }
        else if (statement.Argument.Equals("fds", StringComparison.OrdinalIgnoreCase))
        {
            session.Error((session.IsAdmin ? ConsoleErrors.NoDescriptors : ConsoleErrors.AdminNeeded).Fields());
            return;
        }
        else if (Tables.TryGetValue(statement.Argument, out ShowCommand? command))
        {
            if (command.IsAdminOnly && !session.IsAdmin)
            {
                session.Error(ConsoleErrors.AdminNeeded.Fields());
                return;
            }

            session.Send(await command.ReadAsync(session.Console, session.Client));
        }
        else
        {
            session.Invalid();
            return;
        }

        session.Complete("SHOW");
    }
}
