using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Config;
using Pooler.Net;
using Pooler.Sql;
using Pooler.Statements;
using Xunit;

namespace Pooler.Tests.Statements;

public sealed class StatementTableTests
{
    private const long Budget = 100_000;

    private readonly StatementTable _table;

    public StatementTableTests()
    {
        var thread = new IoThread(0);
        _table = new StatementTable(thread, new StatementLines(thread, NullLogger.Instance), new TraceQueue());
        _table.Use(new StatementSettings { Counts = true, Budget = Budget });
    }

    [Fact]
    public void WhatWasNotUsedForLongestMakesRoomAndIsCounted()
    {
        StatementEntry first = Find("SELECT first");
        for (int i = 0; i < 1000; i++)
        {
            Find($"SELECT column_{i}");
            Assert.Same(first, Find("SELECT first"));
            Assert.InRange(_table.Bytes, 1, Budget);
        }

        Assert.Equal(1001 - _table.Count, _table.Evicted);
        Assert.InRange(_table.Count, 40, 400);
        Assert.Contains(first, _table.List());
        Assert.DoesNotContain(_table.List(), static entry => Encoding.UTF8.GetString(entry.Text) == "SELECT column_0");
        _table.Use(_table.Settings with { Budget = Budget / 10 });
        Assert.InRange(_table.Bytes, 1, Budget / 10);
        _table.Use(StatementSettings.Off);
        Assert.Equal((0, 0L, false), (_table.Count, _table.Bytes, _table.IsOn));
    }

    [Fact]
    public void WhatAClientStillGoesByComesBackEmpty()
    {
        StatementEntry entry = Find("SELECT first");
        Count(entry);
        _table.Forget();
        Assert.Same(entry, _table.Renew(entry));
        Assert.Equal((0, 1), (entry.Calls, _table.Count));
        _table.Forget();
        StatementEntry other = Find("SELECT first");
        Assert.Same(other, _table.Renew(entry));
    }

    [Fact]
    public void AStatementOfAnotherDatabaseOrUserIsAnother()
    {
        StatementEntry one = Find("SELECT 1");
        Assert.NotSame(one, Find("SELECT 1", "other"));
        Assert.Same(one, Find("SELECT 2"));
    }

    [Fact]
    public void ThreadsAreMerged()
    {
        StatementEntry one = Find("SELECT 1"), two = one.Copy();
        Count(one, time: 100, rows: 2);
        Count(two, time: 300, rows: 3, error: true);
        Count(two, time: 500);
        StatementEntry merged = Assert.Single(StatementTables.Merge([one.Copy(), two.Copy()]));
        Assert.Equal((3, 6, 1, 900, "127.0.0.1:2"), (merged.Calls, merged.Rows, merged.Errors, merged.Time, merged.Host.ToString()));
        Assert.InRange(merged.Times.At(0.5), 280, 320);
        Assert.Equal(1, one.Calls);
    }

    [Fact]
    public void QuantilesAreOffBySixPercentAtMost()
    {
        var times = new TimeHistogram();
        Assert.Equal(0, times.At(0.5));
        for (long value = 1; value <= 100_000; value++)
        {
            times.Add(value);
        }

        foreach (double share in (double[])[0.00001, 0.01, 0.5, 0.95, 0.99, 1])
        {
            Assert.InRange(times.At(share) / (share * 100_000), 0.94, 1.0626);
        }

        var extremes = new TimeHistogram();
        extremes.Add(-1);
        extremes.Add(long.MaxValue);
        Assert.Equal(0, extremes.At(0.5));
        Assert.InRange(extremes.At(1), 1L << 30, 1L << 31);
    }

    private StatementEntry Find(string text, string database = "db")
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return _table.Find(StatementText.FingerprintOf(bytes, true, TextEncoding.Utf8), (ulong)database.GetHashCode(StringComparison.Ordinal) << 7, database, "u", bytes, true, TextEncoding.Utf8);
    }

    private static void Count(StatementEntry entry, long time = 10, long rows = 1, bool error = false) =>
        entry.Count(new StatementOutcome(time, 0, rows, 0, error ? StatementOutcome.Unanswered : 0), new HostAddress("127.0.0.1", 2));
}
