using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// The counters of each database now and at the last two ends of a stats_period; averages are over the time since the older of them,
/// so over one to two periods (src/stats.c, refresh_stats and calc_average).
/// </summary>
internal sealed class StatsHistory(Pools pools, int threads)
{
    private static readonly Dictionary<string, PoolStats> Nothing = [];

    private volatile Ends _ends = new(IoThread.Clock(), Nothing, IoThread.Clock(), Nothing);

    /// <summary>What the console's own clients do, by I/O thread.</summary>
    public PoolStats[] Own { get; } = [.. Enumerable.Range(0, threads).Select(static _ => new PoolStats())];

    /// <summary>Begins a new period.</summary>
    public void EndPeriod() => _ends = new Ends(_ends.NewerAt, _ends.Newer, IoThread.Clock(), Read());

    /// <summary>The counters of each database, in order; the console is one of them.</summary>
    public List<DatabaseStats> Now()
    {
        Ends ends = _ends;
        double seconds = Math.Max(1, IoThread.Clock() - ends.OlderAt) / 1e6;
        return
        [
            .. Read().OrderBy(static d => d.Key, StringComparer.Ordinal)
                .Select(d => new DatabaseStats(d.Key, d.Value, ends.Older.GetValueOrDefault(d.Key) ?? new PoolStats(), seconds)),
        ];
    }

    /// <summary>On an I/O thread: ends a period each stats_period, and logs its figures (log_stats).</summary>
    public void Start(IoThread thread, LiveConfig live, ILogger log) => new PeriodTimer(this, thread, live, log).Arm();

    private Dictionary<string, PoolStats> Read()
    {
        var own = new PoolStats();
        foreach (PoolStats part in Own)
        {
            part.AddTo(own);
        }

        Dictionary<string, PoolStats> sums = new() { [PoolerConfig.ConsoleDatabase] = own };
        pools.Read(all =>
        {
            foreach (ServerPool pool in all)
            {
                if (!sums.TryGetValue(pool.Key.Database, out PoolStats? sum))
                {
                    sums.Add(pool.Key.Database, sum = new PoolStats());
                }

                foreach (PoolStats part in pool.Stats)
                {
                    part.AddTo(sum);
                }
            }
        });
        return sums;
    }

    private sealed record Ends(
        long OlderAt, Dictionary<string, PoolStats> Older, long NewerAt, Dictionary<string, PoolStats> Newer);

    private sealed class PeriodTimer(StatsHistory history, IoThread thread, LiveConfig live, ILogger log) : WheelTimer
    {
        public void Arm()
        {
            double period = Math.Max(1, live.Current.Get(Settings.StatsPeriod).TotalSeconds);
            thread.Wheel.Set(this, thread.Now + (long)(period * 1e6));
        }

        internal override void Expired()
        {
            history.EndPeriod();
            if (live.Current.Get(Settings.LogStats))
            {
                string[] a = DatabaseStats.SumOf(history.Now()).Averages;
                string text = $"stats: {a[1]} xacts/s, {a[2]} queries/s, {a[8]} client parses/s, {a[9]} server parses/s, {a[10]} binds/s, "
                    + $"in {a[3]} B/s, out {a[4]} B/s, xact {a[5]} us, query {a[6]} us, wait {a[7]} us";
                log.Note(text);
            }

            Arm();
        }
    }
}
