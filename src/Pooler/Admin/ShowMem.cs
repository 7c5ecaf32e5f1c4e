using Pooler.Net;
using Pooler.Statements;
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
            console.Threads, client, static t => (IReadOnlyList<IoThread>)[t], t => new Blocks(t, console.Statements.Of(t)));
        return await Offload.Run(
            client,
            static s =>
            {
                var table = new Table(s.Columns);
                int used = s.blocks.Sum(static b => b.Lent), free = s.blocks.Sum(static b => b.Free);
                table.Add(
                    "blocks", $"{BlockPool.BlockSize}", $"{used}", $"{free}", Short((used + (long)free) * BlockPool.BlockSize),
                    $"{(used + (long)free) * BlockPool.BlockSize}");

                // What is lent at the moment, and goes back to none when nobody is here but the one who asks.
                Count(table, "buffers", s.blocks.Sum(static b => b.Rented));
                Count(table, "received", s.blocks.Sum(static b => b.Received));
                Count(table, "orphans", s.blocks.Sum(static b => b.Orphans));
                Count(table, "connections", s.blocks.Sum(static b => b.Connections));

                // The shared prepared statements: size is the average of one, with the clients' names for it.
                (int statements, int unused, long bytes) = s.statements.Measure();
                table.Add("prepared_statements", $"{(statements > 0 ? bytes / statements : 0)}", $"{statements - unused}", $"{unused}", Short(bytes), $"{bytes}");

                // Those of SHOW STATEMENTS, each as often as there are I/O threads that have seen it.
                (int listed, long bytesOfAll) = (s.blocks.Sum(static b => b.Statements), s.blocks.Sum(static b => b.StatementBytes));
                table.Add("statements", $"{(listed > 0 ? bytesOfAll / listed : 0)}", $"{listed}", "0", Short(bytesOfAll), $"{bytesOfAll}");
                Count(table, "statements_evicted", s.blocks.Sum(static b => b.StatementsEvicted));
                Count(table, "traces_dropped", s.traces.Dropped);

                // Everything allocated since the start, collected or not: two looks tell what happened in between.
                Add(table, "allocated", GC.GetTotalAllocatedBytes(precise: true));
                Add(table, "heap", GC.GetTotalMemory(forceFullCollection: false));
                Add(table, "resident", Environment.WorkingSet);
                return table;
            },
            (Columns, blocks, statements: console.Pools.Statements, traces: console.Statements.Traces));
    }

    private static void Add(Table table, string name, long bytes) => table.Add(name, "1", "0", "0", Short(bytes), $"{bytes}");

    private static void Count(Table table, string name, long used) => table.Add(name, "0", $"{used}", "0", "0", "0");

    private static string Short(long bytes) => $"{Math.Min(bytes, int.MaxValue)}";

    /// <summary>What one I/O thread has lent: blocks and buffers of any size, io_uring's received buffers, sends without a connection.</summary>
    private sealed class Blocks(IoThread thread, StatementTable table)
    {
        public int Lent { get; } = thread.Blocks.Lent;

        public int Free { get; } = thread.Blocks.Free;

        public int Rented { get; } = thread.Blocks.Rented;

        public int Received { get; } = thread.Engine.BuffersOut;

        public int Orphans { get; } = thread.Engine.Orphans;

        public long Connections { get; } = thread.Counters.Connections;

        public int Statements { get; } = table.Count;

        public long StatementBytes { get; } = table.Bytes;

        public long StatementsEvicted { get; } = table.Evicted;
    }
}
