using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Where the time goes: the histograms of the data path. Names are OpenTelemetry's for database clients where it has them.</summary>
internal static class TimeMetrics
{
    public static IEnumerable<MetricFamily> All =>
    [
        new("db.client.connection.wait_time", MetricKind.Histogram, "s", "How long clients waited for a server; of those that found one free, 0.", ["database", "user"], static s =>
            s.PoolStats.Select(static p => new Sample([p.Key.Database, p.Key.User], 0, Histogram.SumOf(p.Parts.Select(static part => part.Waits))))),
        OfHost("db.client.connection.create_time", "How long it took to open a server: connect, TLS and login.", static t => t.Connect),
        OfHost("pooler.state_sync_time", "How long a server took to take a client's settings, where they differed and that was waited for.", static t => t.StateSync),
        OfHost("db.client.operation.duration", "From a request that was sent to the server to its ReadyForQuery.", static t => t.Operation),
        OfHost("db.client.connection.use_time", "How long a client held a server: a lease.", static t => t.Use),
        OfHost("pooler.transfer_time", "From the first byte of a reply to its last that the client's socket took.", static t => t.Transfer),
    ];

    private static MetricFamily OfHost(string name, string meaning, Func<ServerTimes, Histogram> which) =>
        new(name, MetricKind.Histogram, "s", meaning, ["database", "user", "host"], s => s.Times.Where(static t => t.Parts.Count > 0).Select(t => t.Of(which)));
}
