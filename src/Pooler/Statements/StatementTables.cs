using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Statements;

/// <summary>
/// The statement tables of all I/O threads, and what is wanted of them: settings, and the query log of the console. Changes are made on
/// thread 0, one after the other, and posted to all.
/// </summary>
internal sealed class StatementTables
{
    /// <summary>The room for texts while only logs and traces need them.</summary>
    private const long SmallBudget = 1024 * 1024;

    private readonly IoThread[] _threads;
    private readonly StatementTable[] _tables;
    private readonly ILogger _log;
    private readonly EndTimer _timer;
    private StatementSettings _settings = StatementSettings.Off;

    public StatementTables(IoThread[] threads, ILogger log)
    {
        _threads = threads;
        _log = log;
        _timer = new EndTimer(this);
        _tables = [.. threads.Select(thread => new StatementTable(thread, new StatementLines(thread, log), Traces))];
    }

    /// <summary>Traced statements, to be exported.</summary>
    public TraceQueue Traces { get; } = new();

    public StatementTable Of(IoThread thread) => _tables[thread.Index];

    /// <summary>At the start and at each RELOAD.</summary>
    public void Apply(PoolerConfig config)
    {
        long memory = config.Get(Config.Settings.StatementStatistics);
        int slow = config.Get(Config.Settings.LogMinDurationStatement), lines = config.Get(Config.Settings.LogStatementLimit);
        var settings = new StatementSettings
        {
            Counts = memory > 0,
            Budget = (memory > 0 ? memory : SmallBudget) / _threads.Length,
            SlowAfter = slow < 0 ? long.MaxValue : slow * 1000L,
            LinesPerSecond = lines == 0 ? int.MaxValue : (lines + _threads.Length - 1) / _threads.Length,
            SampleRatio = config.Get(Config.Settings.OtlpEndpoint) != null ? config.Get(Config.Settings.TraceSampleRatio) : 0,
            ListenPort = config.Get(Config.Settings.ListenPort),
        };
        _threads[0].Post(() => Use(settings with { Logged = _settings.Logged }));
    }

    /// <summary>Statements of somebody are logged from now on, to a certain end.</summary>
    public void Log(QueryLogRule rule) => _threads[0].Post(() => Use(_settings with { Logged = [.. _settings.Logged ?? [], rule] }));

    /// <summary>No statement is logged any more because somebody has asked for it.</summary>
    public void LogNothing() => _threads[0].Post(() => Use(_settings with { Logged = null }));

    /// <summary>Copies of the entries of all threads as one, by the time they took, the most first.</summary>
    public static List<StatementEntry> Merge(IEnumerable<StatementEntry> copies)
    {
        Dictionary<(ulong, string, string), StatementEntry> merged = [];
        foreach (StatementEntry copy in copies)
        {
            if (!merged.TryAdd((copy.Fingerprint, copy.Database, copy.User), copy))
            {
                merged[(copy.Fingerprint, copy.Database, copy.User)].Add(copy);
            }
        }

        return [.. merged.Values.OrderByDescending(static entry => entry.Time)];
    }

    private void Use(StatementSettings settings)
    {
        _settings = settings;
        foreach (StatementTable table in _tables)
        {
            table.Thread.Post(() => table.Use(settings));
        }

        _threads[0].Wheel.Set(_timer, settings.Logged?.Min(static rule => rule.Until) ?? WheelTimer.Never);
    }

    private void EndRules()
    {
        long now = _threads[0].Now;
        QueryLogRule[] rules = _settings.Logged ?? [];
        foreach (QueryLogRule rule in rules.Where(rule => rule.Until <= now))
        {
            string text = $"query log of {rule} has ended";
            _log.Note(text);
        }

        QueryLogRule[] rest = [.. rules.Where(rule => rule.Until > now)];
        Use(_settings with { Logged = rest.Length > 0 ? rest : null });
    }

    private sealed class EndTimer(StatementTables tables) : WheelTimer
    {
        internal override void Expired() => tables.EndRules();
    }
}
