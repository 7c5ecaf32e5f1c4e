using System.Security.Cryptography.X509Certificates;
using Pooler.Config;
using Pooler.Net;
using Pooler.Statements;
using static Pooler.Monitoring.MetricKind;

namespace Pooler.Monitoring;

/// <summary>The process: its I/O threads, caches, certificates, configuration, and what the system says of it.</summary>
internal static class ProcessMetrics
{
    public static IEnumerable<MetricFamily> All =>
    [
        Thread("pooler.io_thread.busy", "s", "Time the I/O thread was not waiting for the kernel to call; its rate is the share of a processor it needs.", static c => c.Busy / 1e6),
        Thread("pooler.io_thread.turns", "", "Rounds of the I/O thread.", static c => c.Turns),
        Cache("pooler.cache_bytes", "By", "Memory of what is kept.", static c => c.Bytes),
        Cache("pooler.cache_entries", "", "How much is kept: prepared statements; statements that SHOW STATEMENTS tells of; blocks of look-aheads, lent or kept for the next.", static c => c.Entries),
        new("pooler.tls.certificate_expiry_timestamp", Gauge, "s", "When the certificate that is shown ends, in seconds since 1970.", ["side", "subject"], Certificates),
        new("pooler.build_info", Gauge, "", "Always 1; the label is the version.", ["version"], static s => [Sample.Of(1, s.Console.Version)]),
        One("pooler.config.last_reload_successful", Gauge, "", "0 after a RELOAD that found errors: the configuration before it is in force.", static s => s.Console.Control.LastReload.IsGood ? 1 : 0),
        One("pooler.config.last_reload_timestamp", Gauge, "s", "When the configuration was read last, in seconds since 1970.", static s => (s.Console.Control.LastReload.At - DateTime.UnixEpoch).TotalSeconds),
        One("process.cpu", Counter, "s", "Processor time.", static _ => ProcessFacts.CpuSeconds),
        One("process.resident_memory", Gauge, "By", "Resident memory.", static _ => Environment.WorkingSet),
        One("process.open_fds", Gauge, "", "Open file descriptors.", static _ => ProcessFacts.OpenDescriptors),
        One("process.max_fds", Gauge, "", "Most file descriptors it may open.", static _ => ProcessFacts.MostDescriptors),
        One("process.start_time", Gauge, "s", "When it was started, in seconds since 1970.", static _ => ProcessFacts.StartTime),
    ];

    private static MetricFamily One(string name, MetricKind kind, string unit, string meaning, Func<Snapshot, double> read) =>
        new(name, kind, unit, meaning, [], s => [Sample.Of(read(s))]);

    private static MetricFamily Thread(string name, string unit, string meaning, Func<IoCounters, double> read) =>
        new(name, Counter, unit, meaning, ["thread"], s => s.Console.Threads.Select(t => Sample.Of(read(t.Counters), $"{t.Index}")));

    private static MetricFamily Cache(string name, string unit, string meaning, Func<(string Name, long Entries, long Bytes), double> read) =>
        new(name, Gauge, unit, meaning, ["cache"], s => Caches(s).Select(c => Sample.Of(read(c), c.Name)));

    private static IEnumerable<(string Name, long Entries, long Bytes)> Caches(Snapshot snapshot)
    {
        (int statements, _, long bytes) = snapshot.Console.Pools.Statements.Measure();
        yield return ("prepared_statements", statements, bytes);
        StatementTable[] tables = [.. snapshot.Console.Threads.Select(snapshot.Console.Statements.Of)];
        yield return ("statements", tables.Sum(static t => t.Count), tables.Sum(static t => t.Bytes));
        long blocks = snapshot.Console.Threads.Sum(static t => (long)t.Blocks.Lent + t.Blocks.Free);
        yield return ("blocks", blocks, blocks * BlockPool.BlockSize);
    }

    private static IEnumerable<Sample> Certificates(Snapshot snapshot)
    {
        PoolerConfig config = snapshot.Console.Live.Current;
        if (config.ClientTls is { } client)
        {
            yield return Expiry("client", client.Certificate);
        }

        if (config.ServerTls?.Certificate is { } own)
        {
            yield return Expiry("server", own);
        }
    }

    private static Sample Expiry(string side, X509Certificate2 certificate) =>
        Sample.Of((certificate.NotAfter.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds, side, certificate.Subject);
}
