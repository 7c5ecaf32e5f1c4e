using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATS_TOTALS (src/stats.c, admin_database_stats_totals).</summary>
internal sealed class ShowStatsTotals() : ShowCommand(
    Text("database"), Numeric("server_assignment_count"), Numeric("xact_count"), Numeric("query_count"), Numeric("bytes_received"),
    Numeric("bytes_sent"), Numeric("xact_time"), Numeric("query_time"), Numeric("wait_time"), Numeric("client_parse_count"),
    Numeric("server_parse_count"), Numeric("bind_count"), Numeric("client_login_count"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (DatabaseStats database in console.Stats.Now())
        {
            table.Add([database.Database, .. database.Totals]);
        }
    }
}
