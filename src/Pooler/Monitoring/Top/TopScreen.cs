using System.Globalization;
using Pooler.Telemetry;
using static Pooler.Monitoring.PageState;

namespace Pooler.Monitoring;

/// <summary>What the live page shows as lines of text: the state of the moment, and rates of what it was before.</summary>
internal sealed class TopScreen(string address)
{
    private PageState? _state, _before;
    private readonly List<RecentLine> _log = [];
    private TopView _view;

    // Rows of the table that are above the screen; of the log, whose end is what is looked at, below it.
    private int _scrolled;

    /// <summary>Why there is nothing new; null while there is.</summary>
    public string? Trouble { get; set; }

    /// <summary>Rates are known: there was a state before.</summary>
    public bool HasRates => Seconds > 0;

    // Microseconds of a clock that only goes forward; another process begins anew.
    private double Seconds => _state != null && _before != null && _state.Clock > _before.Clock ? (_state.Clock - _before.Clock) / 1e6 : 0;

    public void Take(PageState state)
    {
        (_before, _state) = (_state, state);
        Trouble = null;
    }

    /// <summary>Further lines of the log; the first ones of a connection are all there are.</summary>
    public void Take(List<RecentLine> lines, bool isFirst)
    {
        if (isFirst)
        {
            _log.Clear();
        }

        long last = _log.Count > 0 ? _log[^1].Number : 0;
        _log.AddRange(lines.Where(l => l.Number > last));
        _log.RemoveRange(0, Math.Max(0, _log.Count - RecentLines.Most));
    }

    public void Show(TopView view) => (_view, _scrolled) = (view, 0);

    /// <summary>So many tables on, around the end.</summary>
    public void Turn(int steps)
    {
        int count = Enum.GetValues<TopView>().Length;
        Show((TopView)(((int)_view + steps + count) % count));
    }

    /// <summary>So many rows down.</summary>
    public void Scroll(int rows) => _scrolled += _view == TopView.Log ? -rows : rows;

    /// <summary>The screen, a line each: what is wrong, sums, the names of the tables, and one of them.</summary>
    public List<TopLine> Lines(int width, int height)
    {
        List<TopLine> lines = [.. Head().Select(l => l with { Text = TopTable.Cut(l.Text, width) })];
        lines.Add(new TopLine(TopTable.Cut(string.Join("  ", Enum.GetValues<TopView>().Select(v => v == _view ? $"[{v}]" : $"{(int)v + 1} {v}")), width), TopStyle.Faint));
        if (_state != null)
        {
            TopTable table = TableOf(_view);
            int room = Math.Max(1, height - lines.Count - (table.More > 0 ? 3 : 2)); // Its heads, the line of keys, and how many more there are.
            _scrolled = Math.Clamp(_scrolled, 0, Math.Max(0, table.Rows.Count - room));
            int from = _view == TopView.Log ? Math.Max(0, table.Rows.Count - room - _scrolled) : _scrolled;
            lines.AddRange(table.Lines(width, from, room).Select(static (text, i) => new TopLine(text, i == 0 ? TopStyle.Head : TopStyle.Plain)));
        }

        return lines;
    }

    /// <summary>Everything, for who does not look on: to be printed once.</summary>
    public IEnumerable<string> All()
    {
        IEnumerable<string> tables = _state == null ? [] : Enum.GetValues<TopView>().Where(static v => v != TopView.Log)
            .SelectMany(v => (string[])["", $"{v}", .. TableOf(v).Lines(int.MaxValue, 0, int.MaxValue)]);
        return [.. Head().Select(static l => l.Text), .. tables];
    }

    private IEnumerable<TopLine> Head()
    {
        if (Trouble != null)
        {
            string since = _state != null ? string.Create(CultureInfo.InvariantCulture, $", figures of {DateTimeOffset.FromUnixTimeMilliseconds(_state.At).ToLocalTime():HH:mm:ss}") : "";
            yield return new TopLine(TopTable.Plain($"{Trouble}{since}"), TopStyle.Bad);
        }

        if (_state is not { } state)
        {
            yield break;
        }

        yield return new TopLine(TopTable.Plain($"{state.Version}, up {Figures.Time(state.Uptime * 1e6)}, {state.Phase}, {address}"), state.Phase == "serving" ? TopStyle.Good : TopStyle.Warning);
        foreach (string problem in state.Problems)
        {
            yield return new TopLine(TopTable.Plain(problem), TopStyle.Bad);
        }

        if (state.Pins == null)
        {
            yield return new TopLine("An I/O thread does not answer.", TopStyle.Bad);
        }

        List<PoolRow> pools = state.Pools.Rows;
        List<DatabaseRow> now = state.Databases.Rows, then = _before?.Databases.Rows ?? [];
        int waiting = pools.Sum(static p => p.Waiting), active = pools.Sum(static p => p.ServersActive);
        int open = active + pools.Sum(static p => p.ServersIdle + p.ServersUsed + p.ServersTested + p.ServersLogin);
        string oldest = waiting > 0 ? $" (the oldest for {Figures.Time(pools.Max(static p => p.LongestWait))})" : "";
        string wait = Each(Sum(now, static d => d.WaitTime), Sum(then, static d => d.WaitTime), Sum(now, static d => d.Assignments), Sum(then, static d => d.Assignments));
        yield return new TopLine(
            $"Clients {Figures.Count(state.Clients)} of {Figures.Count(state.MaxClients)}   Waiting {Figures.Count(waiting)}{oldest}   Servers active {Figures.Count(active)} of {Figures.Count(open)}   "
            + $"Transactions/s {PerSecond(Sum(now, static d => d.Transactions), Sum(then, static d => d.Transactions))}   "
            + $"Queries/s {PerSecond(Sum(now, static d => d.Queries), Sum(then, static d => d.Queries))}   "
            + $"Wait {(wait.Length > 0 ? wait : "–")}",
            TopStyle.Plain);
    }

    private TopTable TableOf(TopView view) => view switch
    {
        TopView.Databases => Table(
            _state!.Databases, _before?.Databases, static d => d.Name, ["Database", " Clients", " Servers", " Tx/s", " Queries/s", " Query time", " Wait", " In/s", " Out/s", "State", "Server"],
            (d, old) =>
            [
                d.Name, Limit(d.Clients, d.MaxClients), Limit(d.Servers, d.MaxServers), PerSecond(d.Transactions, old?.Transactions), PerSecond(d.Queries, old?.Queries),
                Each(d.QueryTime, old?.QueryTime, d.Queries, old?.Queries), Each(d.WaitTime, old?.WaitTime, d.Assignments, old?.Assignments),
                Figures.Bytes(Rate(d.Received, old?.Received)), Figures.Bytes(Rate(d.Sent, old?.Sent)), d.IsDisabled ? "disabled" : d.IsPaused ? "paused" : "serving", d.Target,
            ],
            "No database."),
        TopView.Pools => Table(
            _state!.Pools, null, static p => (p.Database, p.User), ["Database", "User", "Mode", " Clients", " Waiting", " Oldest", " Active", " Idle", " Unchecked", " In reset", " Opening"],
            static (p, _) =>
            [
                p.Database, p.User, p.Mode ?? "", Figures.Count(p.Active), Figures.Count(p.Waiting), p.Waiting > 0 ? Figures.Time(p.LongestWait) : "", Figures.Count(p.ServersActive),
                Figures.Count(p.ServersIdle), Figures.Count(p.ServersUsed), Figures.Count(p.ServersTested), Figures.Count(p.ServersLogin),
            ],
            "No pool: nobody has asked yet."),
        TopView.Hosts => Table(
            _state!.Hosts, _before?.Hosts, static h => (h.Database, h.Address),
            ["Host", "Database", "Role", "Status", " Lag", " Behind", " Probe", " Seen", " Active", " Idle", " Waiting", " Leases/s", "Problem"],
            (h, old) =>
            [
                h.Address, h.Database, h.Role, h.Status, Figures.Bytes(h.LagBytes), Figures.Time(h.LagTime), Figures.Time(h.Probe), h.SeenAgo is { } ago ? $"{Figures.Time(ago)} ago" : "never",
                Figures.Count(h.Active), Figures.Count(h.Idle), Figures.Count(h.Waiting), PerSecond(h.Leases, old?.Leases), h.Problem ?? "",
            ],
            "No host: no database has a routing."),
        TopView.Routes => Table(
            _state!.Routes, _before?.Routes, static r => r.Database,
            ["Database", "Routing", "Writes go to", " Readable", " Replicas/s", " Primary/s", "Read after write", "Balance", " Failovers", "State"],
            (r, old) =>
            [
                r.Database, r.Routing ?? "", r.Primary ?? (r.Routing == "multi_primary" ? "every primary" : "nobody known"), Figures.Count(r.Readable), PerSecond(r.ReplicaReads, old?.ReplicaReads),
                PerSecond(r.PrimaryReads, old?.PrimaryReads), r.ReadAfterWrite ?? "", r.LoadBalance ?? "", Figures.Count(r.Failovers),
                r.Successor != null ? $"switching to {r.Successor}" : r.IsServing ? "serving" : "no host",
            ],
            "No route: no database has a routing."),
        TopView.Pins => Table(
            _state!.Pins, null, static p => p.Id, ["Client", "Application", "Database", "User", " Since", "Because of"],
            static (p, _) => [p.Client, p.Application, p.Database, p.User, Figures.Time(p.Age), p.Reason],
            "No client keeps its server beyond a transaction."),
        TopView.Statements => Table(
            _state!.Statements, _before?.Statements, static s => (s.Id, s.Database, s.User),
            [" Calls/s", " Calls", " Total", " p50", " p95", " p99", " Wait", " Rows", " Errors", "Database", "User", "Statement"],
            (s, old) =>
            [
                PerSecond(s.Calls, old?.Calls), Figures.Count(s.Calls), Figures.Time(s.TotalTime), Figures.Time(s.P50), Figures.Time(s.P95), Figures.Time(s.P99), Figures.Time(s.WaitTime),
                Figures.Count(s.Rows), Figures.Count(s.Errors), s.Database, s.User, s.Text,
            ],
            _state.Statements == null ? "Statements are not counted (statement_statistics)." : "No statement yet."),
        _ => new TopTable(["Time", "Level", "Line"], [.. _log.Select(static l => (string[])[l.Time.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture), l.Level, l.Text])], 0, "No line yet."),
    };

    private static TopTable Table<TRow, TKey>(Listing<TRow>? now, Listing<TRow>? before, Func<TRow, TKey> key, string[] heads, Func<TRow, TRow?, string[]> cells, string empty)
        where TRow : class
        where TKey : notnull
    {
        Dictionary<TKey, TRow> old = [];
        foreach (TRow row in before?.Rows ?? [])
        {
            old[key(row)] = row; // Two of one name share what they were: nothing forbids an entry that names a host twice.
        }

        return new TopTable(heads, [.. now?.Rows.Select(row => cells(row, old.GetValueOrDefault(key(row)))) ?? []], now?.More ?? 0, empty);
    }

    private static long? Sum(List<DatabaseRow> rows, Func<DatabaseRow, long> which) => rows.Count > 0 ? rows.Sum(which) : null;

    private string PerSecond(long? now, long? before) => Figures.Rate(Rate(now, before));

    /// <summary>Null when it is not known, as when the process is another than before.</summary>
    private double? Rate(long? now, long? before) => Seconds > 0 && now >= before ? (now - before) / Seconds : null;

    /// <summary>Time for each of what there was since the state before.</summary>
    private static string Each(long? sum, long? sumBefore, long? count, long? countBefore) =>
        Figures.Time(count > countBefore && sum >= sumBefore ? (double)(sum - sumBefore)! / (count - countBefore) : null);

    private static string Limit(int value, int most) => most > 0 ? $"{Figures.Count(value)} of {Figures.Count(most)}" : Figures.Count(value);
}
