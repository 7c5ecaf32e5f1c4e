using System.Text;
using BenchmarkDotNet.Attributes;
using Pooler.Sql;

namespace Pooler.Benchmarks;

/// <summary>What looks at statements and command tags on every query.</summary>
public class ScannerBenchmarks
{
    private readonly byte[] _read = Text("SELECT abalance FROM pgbench_accounts WHERE aid = $1");
    private readonly byte[] _write = Text("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2 RETURNING abalance");
    private readonly byte[] _long = Text("SELECT " + string.Join(", ", Enumerable.Range(0, 400).Select(i => $"total_{i} AS sum_of_part_{i}")) + " FROM parts");
    private readonly byte[] _state = Text("SELECT set_config('search_path', 'app', false)");
    private readonly byte[] _selectTag = Text("SELECT 1"), _setTag = Text("SET");

    [Benchmark]
    public int Read() => StateScan.MayLeaveState(_read) ? 1 : 0;

    [Benchmark]
    public int Write() => StateScan.MayLeaveState(_write) ? 1 : 0;

    [Benchmark]
    public int LongRead() => StateScan.MayLeaveState(_long) ? 1 : 0;

    [Benchmark]
    public int State() => StateScan.MayLeaveState(_state) ? 1 : 0;

    [Benchmark]
    public int Tags() => (CommandTag.LeavesState(_selectTag) ? 1 : 0) + (CommandTag.LeavesState(_setTag) ? 2 : 0);

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);
}
