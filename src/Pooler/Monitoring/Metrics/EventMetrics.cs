using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Telemetry;
using static Pooler.Monitoring.MetricKind;

namespace Pooler.Monitoring;

/// <summary>What happens to clients and servers, by cause.</summary>
internal static class EventMetrics
{
    public static IEnumerable<MetricFamily> All =>
    [
        Causes("pooler.errors", "Errors that clients were told of us, not of their server.", static c => c.Errors),
        Causes("pooler.client_closes", "Clients that have gone, logins that failed too.", static c => c.ClientCloses),
        new("pooler.server_closes", Counter, "", "Servers that were closed or lost.", ["database", "host", "cause"], static s =>
            s.Console.Pools.Counts.ServerCloses.Read().Select(static e => Sample.Of(e.Count, e.Words.First, e.Words.Second, e.Words.Third))),
        new("pooler.logins", Counter, "", "Logins of clients, by result: ok, failed.", ["result"], static s =>
            ((string[])["ok", "failed"]).Select(r => Sample.Of(s.Console.Pools.Counts.Logins.Read().Where(e => e.Words.First == r).Sum(static e => e.Count), r))),
        new("pooler.commits_unknown", Counter, "", "Clients that were told that nobody knows whether their transaction was committed (08007).", ["database"], static s =>
            s.Stats.Where(static d => d.Database != PoolerConfig.ConsoleDatabase).Select(d =>
                Sample.Of(s.Console.Pools.Counts.UnknownCommits.Read().Where(e => e.Words.First == d.Database).Sum(static e => e.Count), d.Database))),
        new("pooler.pins", Counter, "", "Clients that began to keep a server beyond their transaction, by reason.", ["database", "user", "reason"], static s => PinsOf(s, static p => p.Pins)),
        new("pooler.pin_refusals", Counter, "", "Statements refused because they would have (pin = refuse), by reason.", ["database", "user", "reason"], static s => PinsOf(s, static p => p.PinRefusals)),
        new("pooler.pinned_clients", Gauge, "", "Clients that keep a server beyond their transaction now.", ["database", "user"], PinnedClients),
        new("pooler.tls.handshakes", Counter, "", "TLS handshakes with clients and with servers, by result: ok, failed.", ["side", "result"], static s =>
        [
            Sample.Of(s.Sum(static c => c.ClientHandshakes), "client", "ok"),
            Sample.Of(s.Sum(static c => c.FailedClientHandshakes), "client", "failed"),
            Sample.Of(s.Sum(static c => c.ServerHandshakes), "server", "ok"),
            Sample.Of(s.Sum(static c => c.FailedServerHandshakes), "server", "failed"),
        ]),
    ];

    private static MetricFamily Causes(string name, string meaning, Func<EventCounts, Tally> which) => new(
        name, Counter, "", meaning, ["database", "cause"], s => which(s.Console.Pools.Counts).Read().Select(static e => Sample.Of(e.Count, e.Words.First, e.Words.Second)));

    /// <summary>Every reason of every pool that has had one: a counter that is not there yet cannot be seen to rise.</summary>
    private static IEnumerable<Sample> PinsOf(Snapshot snapshot, Func<PoolStats, long[]> which) =>
        from pool in snapshot.PoolStats
        where pool.Parts.Any(p => which(p).Any(static n => n > 0))
        from bit in Enumerable.Range(0, PinReasons.Count)
        select Sample.Of(pool.Parts.Sum(p => which(p)[bit]), pool.Key.Database, pool.Key.User, PinReasons.Of(bit));

    private static IEnumerable<Sample> PinnedClients(Snapshot snapshot)
    {
        Dictionary<PoolKey, int> pinned = snapshot.Console.Clients.All
            .Where(static s => s.Server != null && s.Exchange is { PinReasons: not Sql.PinReason.None })
            .CountBy(static s => s.Pool.Key).ToDictionary();
        return snapshot.PoolStats.Select(p => Sample.Of(pinned.GetValueOrDefault(p.Key), p.Key.Database, p.Key.User));
    }
}
