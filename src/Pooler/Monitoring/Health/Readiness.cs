using Pooler.Admin;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;

namespace Pooler.Monitoring;

/// <summary>
/// Whether clients should be sent here, by what is known already: nothing is opened to find out. Entries of [databases] count, databases
/// made from the entry * do not.
/// </summary>
internal sealed class Readiness(AdminConsole console, Func<bool> isListening)
{
    public const string Listening = "listening", Configuration = "configuration", Databases = "databases";

    // A login failure is believed at least that long, microseconds, even if server_login_retry is shorter.
    private const long ShortestBelief = 5_000_000;

    /// <summary>Why a pool cannot serve; its database can if any pool of it has a server.</summary>
    private sealed record PoolView(string Database, bool HasServer, string? Failure);

    public List<Check> Read()
    {
        PoolerConfig config = console.Live.Current;
        List<Check> checks =
        [
            new(Listening, "listening", console.Shutdown.IsLeaving ? "the process is about to end" : isListening() ? null : "not yet"),
            new(Configuration, "configuration", console.Control.LastReload.IsGood ? null : "the last RELOAD failed: the configuration before it is in force, see the log"),
        ];
        ILookup<string, PoolView> pools = ReadPools(IoThread.Clock()).ToLookup(static p => p.Database);
        foreach (string name in config.Databases.Keys.Order(StringComparer.Ordinal))
        {
            checks.Add(new Check(Databases, $"database {name}", ProblemOf(name, [.. pools[name]])));
        }

        return checks;
    }

    /// <summary>What the start still waits for: the listeners, and a first look at every host of entries with routing.</summary>
    public List<Check> ReadStart() =>
    [
        new(Listening, "listening", isListening() ? null : "not yet"),
        .. console.Clusters.All.Select(static c =>
            new Check(Databases, $"database {c.Config.Name}", c.State.IsKnown ? null : "not every host has been asked yet what it is")),
    ];

    private string? ProblemOf(string name, PoolView[] pools)
    {
        if (console.Pools.IsDisabled(name))
        {
            return "disabled (ENABLE on the console ends that)";
        }

        if (console.Pools.PauseOfAll != PauseMode.None || console.Pools.IsPaused(name))
        {
            return "paused (RESUME on the console ends that)";
        }

        if (console.Clusters.Find(name) is { } cluster)
        {
            return cluster.State.IsServing(cluster.Config) ? null : ShortageOf(cluster);
        }

        return pools.Any(static p => p.HasServer) ? null : pools.Select(static p => p.Failure).FirstOrDefault(static f => f != null);
    }

    private static string ShortageOf(HostCluster cluster)
    {
        ClusterState state = cluster.State;
        string missing = cluster.Config.Routing == RoutingRule.Replica ? "no replica serves" : state.Successor != null ? "a switchover is under way" : "no host takes writes";
        return string.Join("; ", [missing, .. state.Hosts.Select(h => ClusterJournal.Trouble(state, h) is { } trouble ? $"{h.Address}: {trouble}" : null).OfType<string>()]);
    }

    private List<PoolView> ReadPools(long now)
    {
        List<PoolView> views = [];
        console.Pools.Read(all => views.AddRange(all.Select(p => new PoolView(
            p.Key.Database, p.Slots.Any(static s => s.State != SlotState.Login), p.LoginFailure is { } failure && Counts(p, failure, now) ? $"server login failed: {failure.Message}" : null))));
        return views;
    }

    /// <summary>
    /// A failure nobody has tried again since says little by and by: if it counted for ever and no client were sent here, nobody would
    /// find out that all is well again. That a user's own password is wrong says nothing of the others'.
    /// </summary>
    private static bool Counts(ServerPool pool, ErrorFields failure, long now) =>
        (pool.HasWaiters || now < pool.LoginFailedAt + Math.Max(ShortestBelief, (long)pool.Settings.ServerLoginRetry.TotalMicroseconds))
        && (pool.DatabaseConfig.ForcedUser != null || !failure.SqlState.StartsWith("28", StringComparison.Ordinal));
}
