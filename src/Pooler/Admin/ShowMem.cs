using Pooler.Net;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW MEM. PgBouncer tells of its object caches; we have two, the blocks of the I/O threads and the shared prepared statements, and what
/// the runtime knows of the process. The last column is ours: memtotal has 32 bits and stops at its end.
/// </summary>
internal sealed class ShowMem() : ShowCommand(Text("name"), Int4("size"), Int4("used"), Int4("free"), Int4("memtotal"), Int8("bytes"))
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<Blocks> blocks = await Survey.Run(
            console.Threads, client, static t => (IReadOnlyList<IoThread>)[t], static t => new Blocks(t.Blocks.Lent, t.Blocks.Free));
        return await Offload.Run(
            client,
            static s =>
            {
                var table = new Table(s.Columns);
                int used = s.blocks.Sum(static b => b.Lent), free = s.blocks.Sum(static b => b.Free);
                table.Add(
                    "blocks", $"{BlockPool.BlockSize}", $"{used}", $"{free}", Short((used + (long)free) * BlockPool.BlockSize),
                    $"{(used + (long)free) * BlockPool.BlockSize}");

                // The shared prepared statements: size is the average of one, with the clients' names for it.
                (int statements, int unused, long bytes) = s.statements.Measure();
                table.Add("prepared_statements", $"{(statements > 0 ? bytes / statements : 0)}", $"{statements - unused}", $"{unused}", Short(bytes), $"{bytes}");

                // Everything allocated since the start, collected or not: two looks tell what happened in between.
                Add(table, "allocated", GC.GetTotalAllocatedBytes(precise: true));
                Add(table, "heap", GC.GetTotalMemory(forceFullCollection: false));
                Add(table, "resident", Environment.WorkingSet);
                return table;
            },
            (Columns, blocks, statements: console.Pools.Statements));
    }

    private static void Add(Table table, string name, long bytes) => table.Add(name, "1", "0", "0", Short(bytes), $"{bytes}");

    private static string Short(long bytes) => $"{Math.Min(bytes, int.MaxValue)}";

    private sealed record Blocks(int Lent, int Free);
}
