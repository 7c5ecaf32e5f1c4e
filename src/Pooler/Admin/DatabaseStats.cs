using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>Counters of one database, or of all, and their averages: rates a second, but times each: of a transaction, a query, an assignment (src/stats.c, calc_average).</summary>
/// <param name="Old">The counters <paramref name="Seconds"/> ago.</param>
internal sealed record DatabaseStats(string Database, PoolStats Total, PoolStats Old, double Seconds)
{
    /// <summary>In PgBouncer's order: assignments, transactions, queries, received, sent, transaction, query and wait time, parses (client, server), binds, logins.</summary>
    public string[] Totals =>
    [
        $"{Total.Assignments}", $"{Total.Transactions}", $"{Total.Queries}", $"{Total.Received}", $"{Total.Sent}", $"{Total.TransactionTime}",
        $"{Total.QueryTime}", $"{Total.WaitTime}", $"{Total.Parses}", $"{Total.ServerParses}", $"{Total.Binds}", $"{Total.Logins}",
    ];

    /// <summary>In the same order.</summary>
    public string[] Averages =>
    [
        Rate(static s => s.Assignments), Rate(static s => s.Transactions), Rate(static s => s.Queries), Rate(static s => s.Received),
        Rate(static s => s.Sent), Each(static s => s.TransactionTime, static s => s.Transactions), Each(static s => s.QueryTime, static s => s.Queries),
        Each(static s => s.WaitTime, static s => s.Assignments), Rate(static s => s.Parses), Rate(static s => s.ServerParses), Rate(static s => s.Binds), Rate(static s => s.Logins),
    ];

    public static DatabaseStats SumOf(IReadOnlyCollection<DatabaseStats> all)
    {
        PoolStats total = new(), old = new();
        foreach (DatabaseStats database in all)
        {
            database.Total.AddTo(total);
            database.Old.AddTo(old);
        }

        return new DatabaseStats("", total, old, all.First().Seconds);
    }

    private string Rate(Func<PoolStats, long> count) => $"{(long)(Math.Max(0, count(Total) - count(Old)) / Seconds)}";

    private string Each(Func<PoolStats, long> time, Func<PoolStats, long> count)
    {
        long number = count(Total) - count(Old);
        return number > 0 ? $"{Math.Max(0, time(Total) - time(Old)) / number}" : "0";
    }
}
