using System.Text;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Config;
using Pooler.Net;
using Pooler.Sql;
using Pooler.Statements;

namespace Pooler.Benchmarks;

/// <summary>What SHOW STATEMENTS costs a statement: its text is read, it is found, and its outcome is counted. Nothing may be allocated.</summary>
public class StatementBenchmarks
{
    private readonly StatementTable _table = NewTable();
    private readonly byte[] _one = "select 1"u8.ToArray();
    private readonly byte[] _read = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345"u8.ToArray();
    private readonly byte[] _join = Encoding.UTF8.GetBytes(
        "SELECT a.id, a.owner, count(o.id), sum(o.total) FROM accounts a JOIN orders o ON o.account_id = a.id WHERE a.owner = $1 AND o.placed > $2 AND lower(o.note) LIKE '%' "
        + "GROUP BY a.id ORDER BY 4 DESC LIMIT 1");
    private readonly byte[] _long = Encoding.UTF8.GetBytes("INSERT INTO t VALUES " + string.Join(", ", Enumerable.Range(0, 2_000).Select(static i => $"({i}, 'value of {i}')")));
    private readonly ulong _prepared = Fingerprint("SELECT abalance FROM pgbench_accounts WHERE aid = $1"u8);
    private readonly byte[] _traced = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345 /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"u8.ToArray();

    [Benchmark]
    public int One() => Count(Fingerprint(_one), _one);

    [Benchmark]
    public int Read() => Count(Fingerprint(_read), _read);

    /// <summary>200 bytes.</summary>
    [Benchmark]
    public int Join() => Count(Fingerprint(_join), _join);

    /// <summary>About 50 kB, of which the front is read.</summary>
    [Benchmark]
    public int LongInsert() => Count(Fingerprint(_long), _long);

    /// <summary>Its fingerprint is known.</summary>
    [Benchmark]
    public int Prepared() => Count(_prepared, _read);

    /// <summary>The caller's trace is looked for in a comment, and is there.</summary>
    [Benchmark]
    public int TraceParentOf() => TraceParent.TryFind(_traced, true, TextEncoding.Utf8, out TraceParent parent) ? (int)parent.Span : 0;

    private static ulong Fingerprint(ReadOnlySpan<byte> text) => StatementText.FingerprintOf(text, true, TextEncoding.Utf8);

    private int Count(ulong fingerprint, byte[] text)
    {
        StatementEntry entry = _table.Find(fingerprint, 77, "db", "user", text, true, TextEncoding.Utf8);
        entry.Count(new StatementOutcome(Time: 120, Wait: 0, Rows: 1, Sent: 70, SqlState: 0), new HostAddress("127.0.0.1", 5432));
        return (int)entry.Calls;
    }

    private static StatementTable NewTable()
    {
        var thread = new IoThread(0);
        var table = new StatementTable(thread, new StatementLines(thread, NullLogger.Instance), new TraceQueue());
        table.Use(new StatementSettings { Counts = true, Budget = 1024 * 1024 });
        return table;
    }
}
