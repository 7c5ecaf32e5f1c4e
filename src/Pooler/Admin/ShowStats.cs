using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATS (src/stats.c, admin_database_stats). The column behind PgBouncer's is ours: servers brought from one I/O thread to another.</summary>
internal sealed class ShowStats() : ShowCommand(
    Text("database"), Numeric("total_server_assignment_count"), Numeric("total_xact_count"), Numeric("total_query_count"),
    Numeric("total_received"), Numeric("total_sent"), Numeric("total_xact_time"), Numeric("total_query_time"), Numeric("total_wait_time"),
    Numeric("total_client_parse_count"), Numeric("total_server_parse_count"), Numeric("total_bind_count"), Numeric("total_client_login_count"),
    Numeric("avg_server_assignment_count"), Numeric("avg_xact_count"), Numeric("avg_query_count"), Numeric("avg_recv"), Numeric("avg_sent"),
    Numeric("avg_xact_time"), Numeric("avg_query_time"), Numeric("avg_wait_time"), Numeric("avg_client_parse_count"),
    Numeric("avg_server_parse_count"), Numeric("avg_bind_count"), Numeric("avg_client_login_count"), Numeric("total_moved_grants"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (DatabaseStats database in console.Stats.Now())
        {
            table.Add([database.Database, .. database.Totals, .. database.Averages, $"{database.Total.MovedGrants}"]);
        }
    }
}
