using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATS_AVERAGES (src/stats.c, admin_database_stats_averages); the mix of names is PgBouncer's.</summary>
internal sealed class ShowStatsAverages() : ShowCommand(
    Text("database"), Numeric("server_assignment_count"), Numeric("xact_count"), Numeric("query_count"), Numeric("bytes_received"),
    Numeric("bytes_sent"), Numeric("xact_time"), Numeric("query_time"), Numeric("wait_time"), Numeric("avg_client_parse_count"),
    Numeric("avg_server_parse_count"), Numeric("avg_bind_count"), Numeric("avg_client_login_count"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (DatabaseStats database in console.Stats.Now())
        {
            table.Add([database.Database, .. database.Averages]);
        }
    }
}
