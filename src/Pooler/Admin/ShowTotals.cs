using System.Collections.Immutable;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW TOTALS (src/stats.c, show_stat_totals): all databases as one.</summary>
internal sealed class ShowTotals() : ShowCommand(Text("name"), Numeric("value"))
{
    private static readonly ImmutableArray<string> Names =
    [
        "server_assignment_count", "xact_count", "query_count", "client_bytes", "server_bytes", "xact_time", "query_time", "wait_time",
        "ps_client_parse_count", "ps_server_parse_count", "ps_bind_count", "client_login_count",
    ];

    protected override void Fill(Table table, AdminConsole console)
    {
        DatabaseStats sum = DatabaseStats.SumOf(console.Stats.Now());
        Add(table, "total_", sum.Totals);
        Add(table, "avg_", sum.Averages);
    }

    private static void Add(Table table, string prefix, string[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            table.Add(prefix + Names[i], values[i]);
        }
    }
}
