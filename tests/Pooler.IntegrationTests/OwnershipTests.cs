namespace Pooler.IntegrationTests;

/// <summary>Every client sees its own rows and nothing else, whatever happens to servers and other clients meanwhile.</summary>
public sealed class OwnershipTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const int PoolSize = 15;

    public static readonly TheoryData<string> Modes = ["session", "transaction", "statement"];

    [Theory, MemberData(nameof(Modes))]
    public Task ClientsComeAndGo(string mode) => RunAsync(postgres, mode, clients: 100, requestsEach: 30, harm: null);

    [Theory, MemberData(nameof(Modes))]
    public Task ServersAreEndedUnderway(string mode) => RunAsync(postgres, mode, clients: 100, requestsEach: 30, EndOneServerAsync);

    /// <summary>More I/O threads than the machine would get by itself, so that servers move between them.</summary>
    [Theory, MemberData(nameof(Modes))]
    public Task ServersMoveBetweenThreads(string mode)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer has one thread");
        return RunAsync(postgres, mode, clients: 100, requestsEach: 60, EndOneServerAsync, workers: 4);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Category", "Long")]
    public Task ServersAreEndedUnderwayForLong(string mode) => RunAsync(postgres, mode, clients: 400, requestsEach: 250, EndOneServerAsync);

    [Theory, MemberData(nameof(Modes))]
    [Trait("Category", "Long")]
    public async Task BackendsAreKilled(string mode)
    {
        // A killed backend restarts its whole PostgreSQL, so this one is not shared.
        var own = new PostgresCluster();
        await using (own)
        {
            await own.InitializeAsync();
            await RunAsync(own, mode, clients: 200, requestsEach: 200, KillOneBackendAsync, harms: 5);
        }
    }

    private async Task RunAsync(PostgresCluster cluster, string mode, int clients, int requestsEach,
        Func<PostgresCluster, string, Task>? harm, int harms = 60, int? workers = null)
    {
        string database = await cluster.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(cluster, database, mode, PoolSize,
            ini =>
            {
                ini.Settings["log_connections"] = ini.Settings["log_disconnections"] = ini.Settings["log_pooler_errors"] = "0";
                ini.Settings["max_client_conn"] = $"{2 * clients + 50}";
                if (workers is not null)
                    ini.Settings["workers"] = $"{workers}";
            });
        await using (var first = new Npgsql.NpgsqlConnection(pooler.NpgsqlString(database)))
            await first.OpenAsync();
        int descriptors = pooler.FileDescriptorCount;

        int seed = Random.Shared.Next(1_000_000);
        var load = new OwnershipLoad(pooler, database, mode, clients, requestsEach, seed);
        output.WriteLine($"seed {seed}");
        Task harming = harm is null ? Task.CompletedTask : HarmAsync(cluster, database, load, harm, harms);
        await load.RunAsync().WaitAsync(TimeSpan.FromMinutes(10));
        await harming;
        output.WriteLine($"{load.Answered} answered, {load.Disappeared} given up, {load.Lost} lost of {load.Total}");

        // A server lost takes one client with it; the rest is answered.
        Assert.InRange(load.Answered, load.Total * (harm is null ? 90 : 50) / 100, load.Total);
        if (harm is null)
            Assert.Equal(0, load.Lost);
        await cluster.WaitUntilReadyAsync();

        await Eventually.BecomesAsync("servers within the pool's size", () => cluster.CountServersAsync(database), static count => count <= PoolSize);
        await Eventually.BecomesAsync("descriptors are given back", () => Task.FromResult(pooler.FileDescriptorCount), count => count <= descriptors + PoolSize + 2);

        var calm = new OwnershipLoad(pooler, database, mode, clients: PoolSize, requestsEach: 10, seed + 1);
        await calm.RunAsync().WaitAsync(Patience.Long);
        Assert.Equal(0, calm.Lost);

        PoolerProcess.PoolCounts counts = await Eventually.BecomesAsync("all leases end", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
        Assert.InRange(counts.ServersFree, 0, PoolSize);
    }

    private static async Task HarmAsync(PostgresCluster cluster, string database, OwnershipLoad load, Func<PostgresCluster, string, Task> harm, int harms)
    {
        for (int done = 0; done < harms && !load.Done; done++)
        {
            // Spread over the run by its progress, not by time.
            while (!load.Done && load.Answered + load.Disappeared + load.Lost < (long)load.Total * (done + 1) / (harms + 2))
                await Task.Delay(5);
            await harm(cluster, database);
        }
    }

    private static Task EndOneServerAsync(PostgresCluster cluster, string database) =>
        cluster.ExecuteAsync(PostgresCluster.Superuser,
            $"SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = '{database}' ORDER BY random() LIMIT 1) AS one");

    private static async Task KillOneBackendAsync(PostgresCluster cluster, string database)
    {
        int process = await cluster.ScalarAsync<int>(PostgresCluster.Superuser,
            $"SELECT coalesce(max(pid), 0) FROM (SELECT pid FROM pg_stat_activity WHERE datname = '{database}' ORDER BY random() LIMIT 1) AS one");
        if (process > 0)
            _ = NativeMethods.Kill(process, (int)ChildProcess.Signal.Kill); // it may have ended meanwhile
        await cluster.WaitUntilReadyAsync();
    }
}
