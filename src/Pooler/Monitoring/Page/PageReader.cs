using System.Text;
using Pooler.Admin;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Statements;
using static Pooler.Monitoring.PageState;

namespace Pooler.Monitoring;

/// <summary>Reads what the live page shows, from the console's facts. On the thread pool.</summary>
internal sealed class PageReader(AdminConsole console, Readiness readiness)
{
    // Rows of a table: names come from clients, and a browser has to bear them.
    private const int MostRows = 200, MostStatements = 50;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    public async Task<PageState> ReadAsync()
    {
        List<PinFacts>? pinned = await InTimeAsync(Survey.RunOffThreads(console.Threads, _ => console.Clients.OfCurrentThread(), PinFacts.Copy));
        List<StatementEntry>? counted = await InTimeAsync(Survey.RunOffThreads(console.Threads, TableOf, static entry => entry.Calls > 0 ? entry.Copy() : null));
        var snapshot = new Snapshot(console);
        PoolerConfig config = console.Live.Current;
        return new PageState
        {
            At = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Clock = snapshot.Now,
            Version = console.Version,
            Uptime = (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds - ProcessFacts.StartTime,
            Phase = console.Shutdown.IsLeaving ? "stopping" : console.Pools.PauseOfAll switch { PauseMode.None => "serving", PauseMode.Paused => "paused", _ => "suspended" },
            Problems = [.. readiness.Read().Where(static c => c.Problem != null).Select(static c => $"{c.Name}: {c.Problem}")],
            Clients = console.Clients.Clients,
            MaxClients = config.Get(Settings.MaxClientConn),
            Databases = List(DatabasesOf(snapshot), static d => d.Clients),
            Pools = List(snapshot.Pools.Select(Row), static p => ((long)p.Waiting << 32) + p.Active),
            Hosts = List(HostsOf(snapshot), static h => h.Active),
            Routes = List(console.Clusters.All.Select(c => Row(c, snapshot)), static _ => 0),
            Pins = pinned != null ? List(pinned.Select(p => Row(p, snapshot.Now)), static p => p.Age) : null,
            Statements = counted != null && config.Get(Settings.StatementStatistics) > 0 ? List(StatementTables.Merge(counted).Select(Row), static s => s.TotalTime, MostStatements) : null,
        };
    }

    private IReadOnlyList<StatementEntry> TableOf(IoThread thread) => console.Statements.Of(thread) is { Settings.Counts: true } table ? table.List() : [];

    private static StatementRow Row(StatementEntry entry) => new(
        $"{entry.Fingerprint:x16}", Encoding.UTF8.GetString(entry.Text), entry.Database, entry.User, $"{entry.Host}", entry.Calls, entry.Rows, entry.Errors, entry.Sent, entry.Time,
        entry.Times.At(0.5), entry.Times.At(0.95), entry.Times.At(0.99), entry.WaitTime);

    /// <summary>Null when an I/O thread keeps us waiting.</summary>
    private static async Task<List<T>?> InTimeAsync<T>(Task<List<T>> asked)
    {
        await ((Task)asked).WaitAsync(s_patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return asked.IsCompletedSuccessfully ? await asked : null;
    }

    /// <summary>As they come; of too many those with the highest weight.</summary>
    private static Listing<T> List<T>(IEnumerable<T> rows, Func<T, long> weight, int most = MostRows)
    {
        T[] all = [.. rows];
        if (all.Length <= most)
        {
            return new Listing<T>([.. all], 0);
        }

        IEnumerable<int> kept = Enumerable.Range(0, all.Length).OrderByDescending(i => weight(all[i])).Take(most).Order();
        return new Listing<T>([.. kept.Select(i => all[i])], all.Length - most);
    }

    private static IEnumerable<DatabaseRow> DatabasesOf(Snapshot snapshot)
    {
        Dictionary<string, PoolStats> stats = snapshot.Stats.ToDictionary(static d => d.Database, static d => d.Total);
        foreach (DatabaseFacts d in snapshot.Databases.Where(static d => d.Name != PoolerConfig.ConsoleDatabase))
        {
            PoolStats s = stats.GetValueOrDefault(d.Name) ?? new PoolStats();
            yield return new DatabaseRow(
                d.Name, $"{d.Host ?? "unix"}:{d.Port}/{d.DbName}", d.PoolMode, d.Clients, d.MaxClients, d.Connections, d.MaxConnections, d.IsPaused, d.IsDisabled, s.Transactions,
                s.Queries, s.Received, s.Sent, s.QueryTime, s.WaitTime, s.Assignments);
        }
    }

    private IEnumerable<HostRow> HostsOf(Snapshot snapshot)
    {
        ILookup<(string, string), HostTimes> times = snapshot.Times.ToLookup(static t => (t.Database, t.Host));
        foreach (RoutedHost routed in RoutedHost.ReadAll(console))
        {
            (string database, HostState host) = (routed.Cluster.Config.Name, routed.Host);
            yield return new HostRow(
                database, $"{host.Address}", ClusterJournal.Word(host.Role), routed.Status, host.Lag, host.LagTime, host.IsUp ? host.Latency : null, routed.SeenAgo, routed.Trouble,
                routed.Waiting, routed.Active, routed.Idle, routed.Login, times[(database, $"{host.Address}")].Sum(static t => t.Parts.Sum(static p => p.Use.Count)));
        }
    }

    private static PoolRow Row(PoolFacts p) => new(
        p.Database, p.User, Settings.PoolMode.Format(p.Mode), p.ActiveClients, p.Waiting, p.LongestWait, p.Active, p.Idle, p.Used, p.Tested, p.Login + p.BeingCanceled);

    private static RouteRow Row(HostCluster cluster, Snapshot snapshot)
    {
        (ClusterConfig config, ClusterState state) = (cluster.Config, cluster.State);
        bool splits = config.Routing == RoutingRule.ReadWriteSplit;
        PoolStats[] parts = splits ? [.. snapshot.PoolStats.Where(p => p.Key.Database == config.Name).SelectMany(static p => p.Parts)] : [];
        return new RouteRow(
            config.Name, Settings.Routing.Format(config.Routing), Settings.ReadAfterWrite.Format(config.ReadAfterWrite), Settings.LoadBalance.Format(config.LoadBalance),
            state.Primary is { } primary ? $"{state.Hosts[primary].Address}" : null, state.Hosts.Count(h => h.ServesReads(config)), state.IsServing(config),
            state.Successor is { } next ? $"{state.Hosts[next].Address}" : null, splits ? parts.Sum(static p => p.ReplicaReads) : null,
            splits ? parts.Sum(static p => p.PrimaryReads) : null, Math.Max(0, state.Epoch - 1));
    }

    private static PinRow Row(PinFacts p, long now) => new(
        $"0x{p.Session.Client.Id:x}", p.Port > 0 ? $"{p.Address}:{p.Port}" : p.Address, p.ApplicationName, p.Session.Identity.Database, p.Session.Identity.User, Math.Max(0, now - p.Since),
        PinReasons.Text(p.Reasons));
}
