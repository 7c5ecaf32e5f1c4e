using System.Text;
using BenchmarkDotNet.Attributes;
using Pooler.Sql;

namespace Pooler.Benchmarks;

/// <summary>What a routed statement costs beside its forwarding: the class of a text. Bounds: 1 µs for 200 bytes, nothing allocated.</summary>
public class ClassifierBenchmarks
{
    private static readonly string[] Functions =
        ["lower", "count", "sum", "coalesce", "now", "generate_series", .. Enumerable.Range(0, 2_700).Select(static i => $"function_{i}")];

    private readonly ClassifierContext _context = new(new VolatileNames(
        [.. Functions.Select(static name => (CatalogueKind.Function, name)), (CatalogueKind.VolatileFunction, "nextval"), (CatalogueKind.Unsafe, "tickets")], [], []));

    private readonly byte[] _one = Text("select 1");
    private readonly byte[] _read = Text("SELECT abalance FROM pgbench_accounts WHERE aid = $1");
    private readonly byte[] _write = Text("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2 RETURNING abalance");
    private readonly byte[] _begin = Text("BEGIN READ ONLY");
    private readonly byte[] _join = Text(
        "SELECT a.id, a.owner, count(o.id), sum(o.total) FROM accounts a JOIN orders o ON o.account_id = a.id WHERE a.owner = $1 AND o.placed > $2 AND lower(o.note) LIKE '%' "
        + "GROUP BY a.id ORDER BY 4 DESC LIMIT 1");
    private readonly byte[] _long = Text("SELECT " + string.Join(", ", Enumerable.Range(0, 400).Select(i => $"total_{i} AS sum_of_part_{i}")) + " FROM parts");
    private readonly byte[] _literal = Text("SELECT lower('" + new string('x', 10_000) + "')");

    [Benchmark]
    public int One() => (int)StatementClassifier.Classify(_one, _context).Class;

    [Benchmark]
    public int Read() => (int)StatementClassifier.Classify(_read, _context).Class;

    [Benchmark]
    public int Write() => (int)StatementClassifier.Classify(_write, _context).Class;

    [Benchmark]
    public int Begin() => (int)StatementClassifier.Classify(_begin, _context).Class;

    /// <summary>200 bytes.</summary>
    [Benchmark]
    public int Join() => (int)StatementClassifier.Classify(_join, _context).Class;

    /// <summary>About 12 kB.</summary>
    [Benchmark]
    public int LongRead() => (int)StatementClassifier.Classify(_long, _context).Class;

    [Benchmark]
    public int LongLiteral() => (int)StatementClassifier.Classify(_literal, _context).Class;

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);
}
