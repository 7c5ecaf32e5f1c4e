using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>What SHOW tells is so, column by column: of sessions in every state, of counters under load, of users and pools.</summary>
public sealed class ConsoleValuesTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ClientsAndServersOfEveryState()
    {
        DateTime started = DateTime.UtcNow;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire idle = await PgWire.ConnectAsync(pooler.UnixEndPoint), holder = await pooler.LoginAsync(database), waiter = await pooler.LoginAsync(database);
        await idle.LoginAsync(database, PostgresCluster.User, ("application_name", "idle one"));
        await idle.SendAsync(new PgRequest().Parse("a", "SELECT 1").Parse("b", "SELECT 2").Sync());
        await idle.ReadReplyAsync();
        await holder.QueryAsync("SET application_name = 'holder'; BEGIN");
        await waiter.SendAsync(new PgRequest().Query("SELECT 1"));
        await pooler.WaitersAreAsync(1);

        List<Dictionary<string, string?>> clients = [.. (await pooler.ConsoleAsync("SHOW CLIENTS")).Where(row => row["database"] == database)];
        Dictionary<string, string?> server = (await pooler.ConsoleAsync("SHOW SERVERS")).Single();
        Assert.All(clients.Append(server), row =>
        {
            Assert.Equal(("none", "0", ""), (row["replication"], row["close_needed"], row["tls"]));
            foreach (string column in (string[])["connect_time", "request_time"])
            {
                DateTime at = DateTime.ParseExact(row[column]!, "yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
                Assert.InRange(at, started.AddSeconds(-1), DateTime.UtcNow.AddSeconds(1));
            }
        });
        Assert.Equal(3, clients.Select(static row => row["ptr"]).Append(server["ptr"]).Distinct().Count() - 1);
        Assert.All(clients, row => Assert.Equal((PostgresCluster.User, $"{pooler.Port}"), (row["user"], row["local_port"])));

        Dictionary<string, string?> first = clients.Single(static row => row["state"] == "idle");
        Assert.Equal(
            ("unix", $"{pooler.Port}", "unix", $"{Environment.ProcessId}", "idle one", "2", "", "0", "0"),
            (first["addr"], first["port"], first["local_addr"], first["remote_pid"], first["application_name"], first["prepared_statements"], first["link"], first["wait"], first["wait_us"]));
        Dictionary<string, string?> active = clients.Single(static row => row["state"] == "active");
        Assert.Equal(
            ("127.0.0.1", "127.0.0.1", "0", "holder", "0", server["ptr"], "0"),
            (active["addr"], active["local_addr"], active["remote_pid"], active["application_name"], active["prepared_statements"], active["link"], active["wait_us"]));
        Dictionary<string, string?> waiting = clients.Single(static row => row["state"] == "waiting");
        Assert.True(Number(waiting, "wait") + Number(waiting, "wait_us") > 0 && waiting["link"] == "");
        Assert.Equal(
            ("S", "active", PostgresCluster.User, database, "127.0.0.1", $"{postgres.Port}", "127.0.0.1", "holder", "2", active["ptr"]),
            (server["type"], server["state"], server["user"], server["database"], server["addr"], server["port"], server["local_addr"], server["application_name"],
                server["prepared_statements"], server["link"]));
    }

    [Fact]
    public async Task ALoginThatWaitsIsAWaitingClient()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin), client = await PgWire.ConnectAsync(pooler.EndPoint);
        await console.QueryAsync("PAUSE");
        Task<PgReply> login = client.LoginAsync(database, PostgresCluster.User, ("application_name", "new"));
        await pooler.WaitersAreAsync(1);

        foreach ((string command, string state) in ((string, string)[])[("SHOW CLIENTS", "waiting"), ("SHOW SOCKETS", "cl_waiting")])
        {
            Dictionary<string, string?> row = (await console.QueryAsync(command)).ToMaps().Single(row => row["database"] == database);
            Assert.Equal((state, PostgresCluster.User, "new", "127.0.0.1"), (row["state"], row["user"], row["application_name"], row["addr"]));
            Assert.True(Number(row, "wait") + Number(row, "wait_us") > 0);
        }

        Dictionary<string, string?> lists = (await console.QueryAsync("SHOW LISTS")).Rows.ToDictionary(static r => r[0]!, static r => r[1]);
        Assert.Equal(("1", "2", "0"), (lists["login_clients"], lists["used_clients"], lists["used_servers"]));
        await console.QueryAsync("RESUME");
        await login;
        Assert.Equal("idle", (await console.QueryAsync("SHOW CLIENTS")).ToMaps().Single(row => row["database"] == database)["state"]);
    }

    [Fact]
    public async Task ServersToBeCheckedAreUsedAndHostsAreBalanced()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["server_check_delay"] = "0";
            ini.Databases["several"] = $"host=127.0.0.1,localhost port={postgres.Port} dbname={database} load_balance_hosts=disable";
        });
        using PgWire client = await pooler.LoginAsync(database), second = await pooler.LoginAsync("several");
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("1", (await second.QueryAsync("SELECT 1")).Scalar);
        List<Dictionary<string, string?>> pools = await pooler.ConsoleAsync("SHOW POOLS");
        Dictionary<string, string?> pool = pools.Single(row => row["database"] == database);
        Assert.Equal(("0", "1", "1", null), (pool["sv_idle"], pool["sv_used"], pool["cl_active"], pool["load_balance_hosts"]));
        Assert.Equal("disable", pools.Single(static row => row["database"] == "several")["load_balance_hosts"]);
        Assert.All(await pooler.ConsoleAsync("SHOW SERVERS"), static row => Assert.Equal("used", row["state"]));
        Assert.Contains(await pooler.ConsoleAsync("SHOW SOCKETS"), static row => row["state"] == "sv_used");
        Assert.Equal("2", (await pooler.ConsoleAsync("SHOW LISTS")).Single(static row => row["list"] == "used_servers")["items"]);
    }

    [Fact]
    public async Task UsersCountTheirOwnClientsAndServers()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] += $" user={PostgresCluster.Superuser}";
            ini.UserSettings[PostgresCluster.User] = "max_user_client_connections=7 pool_size=3";
            ini.Settings["max_user_connections"] = "40";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        Dictionary<string, Dictionary<string, string?>> users = (await pooler.ConsoleAsync("SHOW USERS")).ToDictionary(static row => row["name"]!);
        Dictionary<string, string?> app = users[PostgresCluster.User], forced = users[PostgresCluster.Superuser];
        Assert.Equal(("1", "0", "7", "        3", "40"),
            (app["current_client_connections"], app["current_connections"], app["max_user_client_connections"], app["pool_size"], app["max_user_connections"]));
        Assert.Equal(("0", "1"), (forced["current_client_connections"], forced["current_connections"]));
        Assert.Equal("1", users[PoolerIni.Admin]["current_client_connections"]);
    }

    [Fact]
    public async Task CountersAndAveragesUnderLoad()
    {
        string database = await postgres.CreateDatabaseAsync();
        Assert.Equal(0, (await CommandLine.PgbenchAsync($"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}", "-i", "-q", "-s", "1")).ExitCode);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 2, adjust: static ini => ini.Settings["stats_period"] = "600");
        const int Clients = 6, Transactions = 40, Queries = 7; // BEGIN, five, END. A thread each: pgbench prepares without looking at others.
        CommandLine.Result run = await CommandLine.PgbenchAsync(pooler.LibpqString(database), "-n", "-M", "prepared", "-c", $"{Clients}", "-j", $"{Clients}", "-t", $"{Transactions}");
        Assert.True(run.ExitCode == 0, $"{run}");

        Dictionary<string, string?> stats = (await pooler.ConsoleAsync("SHOW STATS")).Single(row => row["database"] == database);

        // Each client prepares each statement, the first of them outside of a transaction; pgbench itself asks two questions ahead.
        Assert.Equal(
            ((Clients * Transactions) + Clients + 2, (Clients * Transactions * Queries) + (Clients * Queries) + 2, Clients * Transactions * Queries),
            (Number(stats, "total_xact_count"), Number(stats, "total_query_count"), Number(stats, "total_bind_count")));
        Assert.True(Number(stats, "total_client_login_count") >= Clients);
        Assert.Equal(Clients * Queries, Number(stats, "total_client_parse_count"));
        Assert.InRange(Number(stats, "total_server_parse_count"), Queries, 2 * Queries);
        Assert.InRange(Number(stats, "total_server_assignment_count"), Clients * Transactions, Number(stats, "total_xact_count"));
        foreach (string column in (string[])["total_received", "total_sent", "total_xact_time", "total_query_time", "total_wait_time"])
            Assert.True(Number(stats, column) > 1000, column);
        Assert.True(Number(stats, "total_xact_time") >= Number(stats, "total_query_time"));

        // In the first period an average is that of all there was.
        foreach ((string time, string count) in (ReadOnlySpan<(string, string)>)[("xact_time", "xact_count"), ("query_time", "query_count"), ("wait_time", "server_assignment_count")])
            Assert.Equal(Number(stats, "total_" + time) / Number(stats, "total_" + count), Number(stats, "avg_" + time));
        Assert.True(Number(stats, "avg_query_count") > 0);
        Dictionary<string, string?> totals = (await pooler.ConsoleAsync("SHOW TOTALS")).ToDictionary(static row => row["name"]!, static row => row["value"]);
        Assert.Equal(stats["total_bind_count"], totals["total_ps_bind_count"]);
        Assert.Equal(stats["total_received"], totals["total_client_bytes"]);
        Assert.Equal(stats["total_sent"], totals["total_server_bytes"]);
        Assert.True(long.Parse(totals["total_query_count"]!, CultureInfo.InvariantCulture) > Number(stats, "total_query_count")); // The console's too.
        Dictionary<string, string?> bare = (await pooler.ConsoleAsync("SHOW STATS_TOTALS")).Single(row => row["database"] == database);
        Assert.Equal((stats["total_wait_time"], stats["total_sent"]), (bare["wait_time"], bare["bytes_sent"]));
        Dictionary<string, string?> averages = (await pooler.ConsoleAsync("SHOW STATS_AVERAGES")).Single(row => row["database"] == database);
        Assert.Equal((stats["avg_wait_time"], stats["avg_xact_time"]), (averages["wait_time"], averages["xact_time"]));
    }

    [Fact]
    public async Task TheConsolesOwnRows()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["max_db_connections"] = "50";
            ini.Settings["max_db_client_connections"] = "60";
            ini.Settings["reserve_pool_size"] = "3";
        });
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync("pgbouncer", PoolerIni.Admin, ("application_name", "operator"));
        Dictionary<string, string?> own = (await wire.QueryAsync("SHOW DATABASES")).ToMaps().Single(static row => row["name"] == "pgbouncer");
        Assert.Equal(("50", "60", "3", "1", "statement"), (own["max_connections"], own["max_client_connections"], own["reserve_pool_size"], own["current_client_connections"], own["pool_mode"]));
        Dictionary<string, string?> client = (await wire.QueryAsync("SHOW CLIENTS")).ToMaps().Single();
        Assert.Equal(("operator", "idle"), (client["application_name"], client["state"]));

        // KILL_CLIENT ends clients of the console, too, also one that waits.
        using PgWire other = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin), busy = await pooler.LoginAsync(database);
        await busy.QueryAsync("BEGIN");
        await other.SendAsync(new PgRequest().Query("PAUSE"));
        await Eventually.EqualsAsync("it waits", "yes", async () => (await wire.QueryAsync("SHOW STATE")).Rows.ElementAt(1)[1]);
        ConsoleTests.AssertError(await wire.QueryAsync($"PAUSE {database}"), "already suspended/paused");
        string id = (await wire.QueryAsync("SHOW CLIENTS")).ToMaps().Single(static row => row["database"] == "pgbouncer" && row["application_name"] == "")["id"]!;
        Assert.Equal("KILL_CLIENT", (await wire.QueryAsync($"KILL_CLIENT {id}")).Messages[0].Text());
        PgMessage last = (await other.ReadToEndAsync())[^1];
        Assert.Equal(("FATAL", "admin forced disconnect"), (last.Fields()['S'], last.Fields()['M']));
        using PgWire quiet = await PgWire.ConnectAsync(pooler.EndPoint);
        await quiet.LoginAsync("pgbouncer", PoolerIni.Admin, ("application_name", "quiet"));
        id = (await wire.QueryAsync("SHOW CLIENTS")).ToMaps().Single(static row => row["application_name"] == "quiet")["id"]!;
        await wire.QueryAsync($"KILL_CLIENT {id}");
        await ConsoleCommandTests.AssertFatalAsync(quiet, "08P01", "admin forced disconnect");
        await Eventually.EqualsAsync("its pause is over", "no", async () => (await wire.QueryAsync("SHOW STATE")).Rows.ElementAt(1)[1]);
    }

    private static long Number(Dictionary<string, string?> row, string column) => long.Parse(row[column]!, CultureInfo.InvariantCulture);
}
