namespace Pooler.IntegrationTests;

/// <summary>DISABLE, KILL, KILL_CLIENT, RECONNECT, WAIT_CLOSE, SUSPEND, SHOW SOCKETS: what they do to clients and servers.</summary>
public sealed class ConsoleCommandTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ADisabledDatabaseTakesNoNewClients()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await console.QueryAsync($"DISABLE {database}");
        Assert.Equal("1", await DatabaseAsync(pooler, database, "disabled"));
        PgMessage error = await RefusalAsync(pooler, database);
        Assert.Equal(("FATAL", "08P01", $"database \"{database}\" is disabled"), (error.Fields()['S'], error.SqlState, error.Fields()['M']));
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);

        await console.QueryAsync($"ENABLE {database}");
        Assert.Equal("0", await DatabaseAsync(pooler, database, "disabled"));
        using PgWire again = await pooler.LoginAsync(database);
        Assert.Equal("2", (await again.QueryAsync("SELECT 2")).Scalar);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task KillDropsClientsAndServersAndLeavesThePause(bool byName)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire idle = await pooler.LoginAsync(database), busy = await pooler.LoginAsync(database), inTransaction = await pooler.LoginAsync(database);
        using PgWire console = await ConsoleAsync(pooler);
        await inTransaction.QueryAsync("BEGIN");
        await busy.SendAsync(new PgRequest().Query("SELECT pg_sleep(600)"));
        await Eventually.EqualsAsync("both have servers", 2, async () => (await pooler.PoolCountsAsync(database)).ServersActive);

        Assert.Equal("CZ", (await console.QueryAsync(byName ? $"KILL {database}" : "KILL")).Types);
        await AssertFatalAsync(idle, "08P01", "admin forced disconnect");
        await AssertFatalAsync(inTransaction, "08P01", "admin forced disconnect");

        // It might have been committed.
        await AssertFatalAsync(busy, "08007", "admin forced disconnect (the outcome of the request is unknown)");
        Assert.Equal("1", await DatabaseAsync(pooler, database, "paused"));
        ConsoleTests.AssertError(await console.QueryAsync("RESUME"), "pooler is not paused/suspended");

        using PgWire late = await pooler.LoginAsync(database);
        await late.SendAsync(new PgRequest().Query("SELECT 3"));
        await Eventually.EqualsAsync("it waits", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting);
        await console.QueryAsync($"RESUME {database}");
        Assert.Equal("3", (await late.ReadReplyAsync()).Scalar);
    }

    [Fact]
    public async Task KillIsRefusedWhileAllIsPaused()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await console.QueryAsync("PAUSE");
        ConsoleTests.AssertError(await console.QueryAsync($"KILL {database}"), "already suspended/paused");
        ConsoleTests.AssertError(await console.QueryAsync("SUSPEND"), "already suspended/paused");
        await console.QueryAsync("RESUME");
        await console.QueryAsync($"PAUSE {database}");
        ConsoleTests.AssertError(await console.QueryAsync("SUSPEND"), "cannot suspend with paused databases");
        await console.QueryAsync($"RESUME {database}");
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact]
    public async Task KillClientDropsOne()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire first = await pooler.LoginAsync(database), second = await PgWire.ConnectAsync(pooler.EndPoint);
        await second.LoginAsync(database, PostgresCluster.User, ("application_name", "victim"));
        string id = (await pooler.ConsoleAsync("SHOW CLIENTS")).Single(static row => row["application_name"] == "victim")["id"]!;
        using PgWire console = await ConsoleAsync(pooler);
        Assert.Equal("KILL_CLIENT", (await console.QueryAsync($"KILL_CLIENT {id}")).Messages[0].Text());
        await AssertFatalAsync(second, "08P01", "admin forced disconnect");
        Assert.Equal("1", (await first.QueryAsync("SELECT 1")).Scalar);
        ConsoleTests.AssertError(await console.QueryAsync($"KILL_CLIENT {id}"), "client not found");
    }

    [Fact]
    public async Task ReconnectReplacesServersAndWaitCloseWaitsForThem()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire busy = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await busy.QueryAsync("BEGIN");
        string old = (await busy.QueryAsync("SELECT pg_backend_pid()")).Scalar!, idle = (await other.QueryAsync("SELECT pg_backend_pid()")).Scalar!;
        Assert.Equal("CZ", (await console.QueryAsync($"RECONNECT {database}")).Types);
        Assert.NotEqual(idle, (await other.QueryAsync("SELECT pg_backend_pid()")).Scalar);

        await console.SendAsync(new PgRequest().Query($"WAIT_CLOSE {database}"));
        Assert.Equal(old, (await busy.QueryAsync("SELECT pg_backend_pid()")).Scalar);
        Assert.Equal("1", (await pooler.ConsoleAsync("SHOW SERVERS")).Single(row => row["remote_pid"] == old)["close_needed"]);
        await busy.QueryAsync("COMMIT");
        Assert.Equal("WAIT_CLOSE", (await console.ReadReplyAsync()).Messages[0].Text());
        Assert.DoesNotContain(await pooler.ConsoleAsync("SHOW SERVERS"), row => row["remote_pid"] == old || row["remote_pid"] == idle);
    }

    [Fact]
    public async Task SuspendHoldsWorkBackAndKeepsServers()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await client.QueryAsync("BEGIN");
        string server = (await client.QueryAsync("SELECT pg_backend_pid()")).Scalar!;
        await console.SendAsync(new PgRequest().Query("SUSPEND"));
        await Eventually.EqualsAsync("it is suspended", "yes", async () => (await pooler.ConsoleAsync("SHOW STATE"))[2]["value"]);
        await client.QueryAsync("COMMIT");
        Assert.Equal("SUSPEND", (await console.ReadReplyAsync()).Messages[0].Text());

        await client.SendAsync(new PgRequest().Query("SELECT pg_backend_pid()"));
        await Eventually.EqualsAsync("it waits", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting);
        Assert.Equal("CZ", (await console.QueryAsync("RESUME")).Types);
        Assert.Equal(server, (await client.ReadReplyAsync()).Scalar);
    }

    [Fact]
    public async Task SuspendGivesUpAfterItsTimeout()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["suspend_timeout"] = "0.3");
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await client.QueryAsync("BEGIN");
        ConsoleTests.AssertError(await console.QueryAsync("SUSPEND"), "clients held servers for longer than suspend_timeout: resumed", "57014");
        Assert.Equal("no", (await pooler.ConsoleAsync("SHOW STATE"))[2]["value"]);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact]
    public async Task SocketsTellOfBothEnds()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("BEGIN");
        var rows = await pooler.ConsoleAsync("SHOW SOCKETS");
        Dictionary<string, string?> server = rows.Single(static row => row["type"] == "S");
        Dictionary<string, string?> own = rows.Single(row => row["type"] == "C" && row["database"] == database);
        Assert.Equal(("sv_active", "cl_active", server["ptr"]), (server["state"], own["state"], own["link"]));
        Assert.Equal("pgbouncer", (await pooler.ConsoleAsync("SHOW ACTIVE_SOCKETS")).Single()["database"]);
        using PgWire console = await ConsoleAsync(pooler);
        PgMessage refusal = (await console.QueryAsync("SHOW FDS")).Error!.Value;
        Assert.Equal("0A000", refusal.SqlState);
        Assert.Contains("so_reuseport", refusal.Fields()['M'], StringComparison.Ordinal);
    }

    internal static async Task AssertFatalAsync(PgWire client, string sqlState, string text)
    {
        PgMessage error = (await client.ReadToEndAsync()).Single(static m => m.Type == 'E');
        Assert.Equal(("FATAL", sqlState, text), (error.Fields()['S'], error.SqlState, error.Fields()['M']));
    }

    internal static Task<PgWire> ConsoleAsync(PoolerProcess pooler) => pooler.LoginAsync("pgbouncer", PoolerIni.Admin);

    private static async Task<string?> DatabaseAsync(PoolerProcess pooler, string database, string column) =>
        (await pooler.ConsoleAsync("SHOW DATABASES")).Single(row => row["name"] == database)[column];

    private static async Task<PgMessage> RefusalAsync(PoolerProcess pooler, string database)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
        return (await wire.ReadToEndAsync()).Single(static m => m.Type == 'E');
    }
}
