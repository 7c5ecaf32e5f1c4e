using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>The console tells what is: who waits, who holds which server, what was counted; and all is zero again when all have left.</summary>
public sealed class ConsoleListsTests(PostgresCluster postgres)
{
    [Fact]
    public async Task AWaitingClientAndTheOneItWaitsFor()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire holder = await pooler.LoginAsync(database);
        using PgWire waiter = await pooler.LoginAsync(database);
        await holder.QueryAsync("SET application_name = 'holder'");
        await holder.QueryAsync("BEGIN");
        await waiter.SendAsync(new PgRequest().Query("SELECT 1"));

        Dictionary<string, string?> waiting = await Eventually.BecomesAsync("a client waits", async () =>
            (await ClientsAsync(pooler, database)).Find(static row => row["state"] == "waiting") ?? [], static row => row.Count > 0);
        Assert.Equal("", waiting["link"]);
        Assert.True(Number(waiting, "wait") > 0 || Number(waiting, "wait_us") > 0);

        Dictionary<string, string?> active = (await ClientsAsync(pooler, database)).Single(static row => row["state"] == "active");
        Dictionary<string, string?> server = (await pooler.ConsoleAsync("SHOW SERVERS")).Single();
        Assert.Equal((active["ptr"], active["link"]), (server["link"], server["ptr"]));
        Assert.Equal(("S", "active", "holder"), (server["type"], server["state"], server["application_name"]));
        Assert.Equal("holder", active["application_name"]);
        Assert.Equal(1L, await postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE pid = {server["remote_pid"]} AND client_port = {server["local_port"]}"));

        Dictionary<string, string?> pool = await PoolAsync(pooler, database);
        Assert.Equal((1, 1, 1, 0), (Number(pool, "cl_active"), Number(pool, "cl_waiting"), Number(pool, "sv_active"), Number(pool, "sv_idle")));
        Assert.True(Number(pool, "maxwait") > 0 || Number(pool, "maxwait_us") > 0);
        Assert.Equal("transaction", pool["pool_mode"]);

        await holder.QueryAsync("COMMIT");
        await waiter.ReadReplyAsync();
    }

    [Fact]
    public async Task CountsReturnToZero()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 2,
            adjust: static ini => ini.Settings["server_idle_timeout"] = "0.5");
        for (int round = 0; round < 3; round++)
        {
            PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => pooler.LoginAsync(database)));
            await Task.WhenAll(clients.Select(static client => client.QueryAsync("SELECT 1")));
            Dictionary<string, int> lists = await ListsAsync(pooler);
            Assert.Equal(11, lists["used_clients"]); // and the console's own
            Assert.Equal(10, Number((await pooler.ConsoleAsync("SHOW DATABASES")).Single(row => row["name"] == database), "current_client_connections"));
            Array.ForEach(clients, static client => client.Dispose());
        }

        await Eventually.BecomesAsync("all is zero", () => ListsAsync(pooler),
            static lists => lists is { } l && l["used_clients"] == 1 && l["login_clients"] == 0 && l["used_servers"] == 0);
        Dictionary<string, string?> pool = await PoolAsync(pooler, database);
        Assert.All(pool.Where(static field => field.Key.StartsWith("cl_", StringComparison.Ordinal) || field.Key.StartsWith("sv_", StringComparison.Ordinal)),
            static field => Assert.Equal("0", field.Value));
        Assert.Empty(await ClientsAsync(pooler, database));
        Assert.Empty(await pooler.ConsoleAsync("SHOW SERVERS"));
        Dictionary<string, string?> user = (await pooler.ConsoleAsync("SHOW USERS")).Single(static row => row["name"] == PostgresCluster.User);
        Assert.Equal(("0", "0"), (user["current_connections"], user["current_client_connections"]));
    }

    [Fact]
    public async Task CountersCountWhatWasDone()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["stats_period"] = "1");
        using (PgWire client = await pooler.LoginAsync(database))
        {
            for (int i = 0; i < 50; i++)
                await client.QueryAsync("SELECT 1");
        }

        Dictionary<string, string?> stats = await StatsAsync(pooler, database);
        Assert.Equal((50, 50, 1), (Number(stats, "total_xact_count"), Number(stats, "total_query_count"), Number(stats, "total_client_login_count")));
        Assert.Equal(50 * new PgRequest().Query("SELECT 1").ToArray().Length, Number(stats, "total_received"));
        Assert.True(Number(stats, "total_sent") > 50 * 20 && Number(stats, "total_query_time") > 0);
        Assert.InRange(Number(stats, "avg_query_count"), 1, 1_000_000);

        // Two periods later it is no longer in the averages.
        await Eventually.BecomesAsync("the average forgets", () => StatsAsync(pooler, database), static row => row["avg_query_count"] == "0");
        await pooler.SeesInLogAsync(" LOG stats: ");
    }

    [Fact]
    public async Task AllocatedBytesGrow()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        async Task<long> LookAsync() => long.Parse(
            (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "allocated")["bytes"]!, CultureInfo.InvariantCulture);

        long before = await LookAsync();
        Assert.InRange(await LookAsync(), before + 1, long.MaxValue);
    }

    [Fact]
    public async Task AServersLifeIsLogged()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database,
            adjust: ini => ini.Databases["gone"] = $"host=127.0.0.1 port={postgres.Port} dbname=not_there");
        using (PgWire client = await pooler.LoginAsync(database))
            await client.QueryAsync("SELECT 1");
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
        using (PgWire lost = await PgWire.ConnectAsync(pooler.EndPoint))
            await lost.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", "gone")));

        string server = $": {database}/{PostgresCluster.User}@127.0.0.1:{postgres.Port} ";
        await OneLineAsync(pooler, server, "new connection to server (from 127.0.0.1:");
        await OneLineAsync(pooler, server, "closing because: terminating connection due to administrator command (age=");
        await OneLineAsync(pooler, "gone/", "server login failed: FATAL database \"not_there\" does not exist");
    }

    private static Task<int> OneLineAsync(PoolerProcess pooler, string who, string what) => Eventually.EqualsAsync(what, 1, () => Task.FromResult(
        pooler.LogLines.Count(line => line.Contains("S-", StringComparison.Ordinal) && line.Contains(who, StringComparison.Ordinal) && line.Contains(what, StringComparison.Ordinal))));

    private static async Task<Dictionary<string, int>> ListsAsync(PoolerProcess pooler) =>
        (await pooler.ConsoleAsync("SHOW LISTS")).ToDictionary(static row => row["list"]!, static row => Number(row, "items"));

    private static async Task<List<Dictionary<string, string?>>> ClientsAsync(PoolerProcess pooler, string database) =>
        [.. (await pooler.ConsoleAsync("SHOW CLIENTS")).Where(row => row["database"] == database)];

    private static async Task<Dictionary<string, string?>> PoolAsync(PoolerProcess pooler, string database) =>
        (await pooler.ConsoleAsync("SHOW POOLS")).Single(row => row["database"] == database);

    private static async Task<Dictionary<string, string?>> StatsAsync(PoolerProcess pooler, string database) =>
        (await pooler.ConsoleAsync("SHOW STATS")).Single(row => row["database"] == database);

    private static int Number(Dictionary<string, string?> row, string column) => int.Parse(row[column]!, CultureInfo.InvariantCulture);
}
