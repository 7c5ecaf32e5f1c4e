namespace Pooler.LoadGenerator.Summary;

/// <summary>What the table of one section shows.</summary>
internal sealed record SummarySection(string Name, string Title, IReadOnlyList<SummaryColumn> Columns, IReadOnlyList<SummaryColumn> Ratios)
{
    private static readonly SummaryColumn s_tps = new("tps", "tx/s"), s_p50 = new("p50_us", "p50 µs"), s_p99 = new("p99_us", "p99 µs");
    private static readonly SummaryColumn s_cpu = new("cpu_us_per_tx", "CPU µs/tx", "F2");
    private static readonly SummaryColumn s_cpuRatio = new("cpu_us_per_tx", "CPU", "F2"), s_tpsRatio = new("tps", "tx/s", "F2");
    private static readonly SummaryColumn s_memory = new("rss_kb", "resident kB");

    private static readonly SummarySection[] s_all =
    [
        new("main", "select 1", [s_tps, s_p50, s_p99, s_cpu], [s_cpuRatio, s_tpsRatio]),
        new("pgbench", "select 1 from pgbench", [s_tps, new("mean_us", "mean µs"), s_cpu], [s_cpuRatio, s_tpsRatio]),
        new("prepared", "Prepared statements beside the extended protocol without them", [s_tps, s_p50, s_p99, s_cpu], [s_cpuRatio, s_tpsRatio]),
        new("curve", "Latency under load: select 1 of 64 clients at a fixed rate", [s_tps, s_p50, s_p99, new("max_us", "max µs"), s_cpu], [new("p50_us", "p50", "F2"), new("p99_us", "p99", "F2")]),
        new("synthetic", "select 1 before a server that answers from memory", [s_tps, s_p50, s_p99, s_cpu, new("tx_per_busy_core", "tx/s per busy core")], [s_cpuRatio, s_tpsRatio]),
        new("idle", "Idle clients",
            [
                new("connected", "connected"), new("answered", "answered at the end"), new("bytes_per_client", "bytes per client"),
                new("rss_idle_kb", "resident kB"), new("login_seconds", "s for all logins", "F2"), new("answer_seconds", "s for all answers", "F2"),
            ],
            []),
        new("tls", "select 1 over TLS (16 clients)", [s_tps, s_p50, s_p99, s_cpu], [s_cpuRatio, s_tpsRatio]),
        new("tlsidle", "Idle clients with TLS and SCRAM",
            [new("connected", "connected"), new("answered", "answered at the end"), new("bytes_per_client", "bytes per client"), new("rss_idle_kb", "resident kB")],
            []),
        new("secrets", "Logins with a password",
            [new("logins_per_second", "logins/s"), s_p50, s_p99, new("cpu_us_per_login", "CPU µs/login", "F1")],
            [new("logins_per_second", "logins/s", "F2"), new("cpu_us_per_login", "CPU", "F2")]),
        new("storm", "A crowd that logs in all at once (TLS, SCRAM), and 16 clients that were there before (1,000 select 1 a second)",
            [new("logins", "logins"), new("logins_per_second", "logins/s"), s_tps, s_p50, s_p99, new("max_us", "max µs"), new("errors", "errors")], [new("p99_us", "p99", "F2")]),
        new("logins", "Logins", [new("logins_per_second", "logins/s"), s_p50, s_p99, new("cpu_us_per_login", "CPU µs/login", "F1")], [new("cpu_us_per_login", "CPU", "F2")]),
        new("copy", "COPY", [new("megabytes_per_second", "MB/s"), new("cpu_us_per_mb", "CPU µs/MB")], [new("cpu_us_per_mb", "CPU", "F2")]),
        new("mixed", "select 1 beside endless COPY streams", [s_tps, s_p50, s_p99, new("max_us", "max µs"), new("stream_megabytes_per_second", "streams MB/s")], [new("p99_us", "p99", "F2")]),
        new("workers2", "Two I/O threads: many clients on one, few on the other",
            [
                s_tps, s_cpu, new("many_p50_us", "many p50 µs"), new("many_p99_us", "many p99 µs"),
                new("few_p50_us", "few p50 µs"), new("few_p99_us", "few p99 µs"), new("moved_percent", "moved %", "F1"),
            ],
            []),
        new("routing", "select 1 before one primary: without routing, with it, with a look at statements", [s_tps, s_p50, s_p99, s_cpu], []),
        new("memory", "Start", [new("ms_to_listening", "ms to listening", "F1"), s_memory], []),
        new("allocation", "Steady allocation", [new("transactions", "transactions"), new("bytes_per_tx", "bytes per transaction", "F3")], []),
    ];

    /// <summary>Contenders others are divided by, where they take part. "old" is the other Pooler on the same engine.</summary>
    public static IReadOnlyList<string> Bases { get; } = ["pgbouncer", "relay", "old", SummaryRow.OwnExtended];

    public static SummarySection Named(string name) =>
        s_all.FirstOrDefault(section => section.Name == name) ?? throw new LoadException($"unknown section {name} in the results");
}
