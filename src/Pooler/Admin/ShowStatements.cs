using System.Text;
using Pooler.Net;
using Pooler.Statements;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATEMENTS, ours: what clients have run, without its values, by the time it took, the most first. Times in microseconds.</summary>
internal sealed class ShowStatements() : ShowCommand(
    Text("fingerprint"), Text("database"), Text("user"), Int8("calls"), Int8("rows"), Int8("errors"), Int8("bytes_sent"),
    Int8("total_time"), Int8("mean_time"), Int8("p50"), Int8("p95"), Int8("p99"), Int8("wait_time"), Text("host"), Text("statement"))
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<StatementEntry> copies = await CopyAsync(console, client);
        return await Offload.Run(
            client,
            static s =>
            {
                var table = new Table(s.Columns);
                foreach (StatementEntry entry in StatementTables.Merge(s.copies))
                {
                    table.Add(
                        $"{entry.Fingerprint:x16}", entry.Database, entry.User, $"{entry.Calls}", $"{entry.Rows}", $"{entry.Errors}", $"{entry.Sent}",
                        $"{entry.Time}", $"{entry.Time / entry.Calls}", $"{entry.Times.At(0.5)}", $"{entry.Times.At(0.95)}", $"{entry.Times.At(0.99)}",
                        $"{entry.WaitTime}", $"{entry.Host}", Encoding.UTF8.GetString(entry.Text));
                }

                return table;
            },
            (Columns, copies));
    }

    /// <summary>Those of all threads that have run to their end at least once.</summary>
    private static ValueTask<List<StatementEntry>> CopyAsync(AdminConsole console, Connection client) => Survey.Run(
        console.Threads, client, t => console.Statements.Of(t) is { Settings.Counts: true } table ? table.List() : [], static entry => entry.Calls > 0 ? entry.Copy() : null);
}
