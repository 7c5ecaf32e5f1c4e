namespace Pooler.IntegrationTests;

/// <summary>
/// PAUSE, RELOAD, query_wait_timeout and cancels while batches with prepared statements run or wait: every write is done once or not
/// at all, the client is told so once, and its names mean what they meant.
/// </summary>
public sealed class BatchHeldUpTests(PostgresCluster postgres)
{
    [Fact]
    public Task APausedPipelineRunsOnceOnANewServer() => WithClientAsync(async (pooler, database, client) =>
    {
        int server = await client.ServerAsync();
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync("PAUSE")).Error);
        await client.SendAsync(Script.Read("P new{select 'new'} B write(1) E B new E S B write(2) E C one S Q {insert into written values (3)}").Request);
        await pooler.WaitersAreAsync(1);
        Assert.Null((await console.QueryAsync("RESUME")).Error);
        await AssertRepliesAsync(client, "1 2 C(INSERT 0 1) 2 D(new) C(SELECT 1) Z(I)", "2 C(INSERT 0 1) 3 Z(I)", "C(INSERT 0 1) Z(I)");
        Assert.NotEqual(server, await client.ServerAsync());
        await AssertAsync(client, "B new E S B one E S", "2 D(new) C(SELECT 1) Z(I)", "E(26000 prepared statement \"one\" does not exist) Z(I)");
        Assert.Equal("3", await WrittenAsync(database));
    });

    [Fact]
    public Task APauseWaitsForTheBatchThatRunsAndHoldsTheNext() => WithClientAsync(async (pooler, database, client) =>
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await RunningAsync(database, client, "P new{select 'new'} B write(1) E B new E S", async () =>
        {
            await console.SendAsync(new PgRequest().Query($"PAUSE {database}"));
            await Eventually.EqualsAsync("it is paused", "1", async () => (await pooler.ConsoleAsync("SHOW DATABASES")).Single(row => row["name"] == database)["paused"]);
        });
        await AssertRepliesAsync(client, "1 2 C(INSERT 0 1) 2 D(new) C(SELECT 1) Z(I)");
        Assert.Null((await console.ReadReplyAsync()).Error);
        await client.SendAsync(Script.Read("B new E B write(2) E S").Request);
        await pooler.WaitersAreAsync(1);
        Assert.Null((await console.QueryAsync($"RESUME {database}")).Error);
        await AssertRepliesAsync(client, "2 D(new) C(SELECT 1) 2 C(INSERT 0 1) Z(I)");
        Assert.Equal("2", await WrittenAsync(database));
    });

    [Fact]
    public Task AReloadChangesTheServerBetweenBatches() => WithClientAsync(async (pooler, database, client) =>
    {
        int server = await client.ServerAsync();
        await RunningAsync(database, client, "B write(1) E P new{select 'new'} S", async () =>
        {
            string file = Path.Combine(pooler.Folder, "pooler.ini");
            await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace($"dbname={database}", $"dbname={database} connect_query='SELECT 1'", StringComparison.Ordinal));
            using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
            Assert.Null((await console.QueryAsync("RELOAD")).Error);
        });
        await AssertRepliesAsync(client, "2 C(INSERT 0 1) 1 Z(I)");
        await AssertAsync(client, "B new E B one E B write(2) E S", "2 D(new) C(SELECT 1) 2 D(one) C(SELECT 1) 2 C(INSERT 0 1) Z(I)");
        Assert.NotEqual(server, await client.ServerAsync());
        Assert.Equal("2", await WrittenAsync(database));
    });

    /// <summary>As PgBouncer: the client is closed. Of what it sent nothing has run, and its names are given back.</summary>
    [Fact]
    public Task WhoWaitsTooLongHasRunNothing() => WithClientAsync(async (pooler, database, client) =>
    {
        using PgWire holder = await pooler.LoginAsync(database);
        Assert.Null((await holder.QueryAsync("BEGIN")).Error);
        await client.SendAsync(Script.Read("P new{select 'new'} B write(1) E S B write(2) E S").Request);
        await client.AssertFatalAsync("query_wait_timeout");
        await Eventually.EqualsAsync("names of clients that have left", 0, async () =>
            (await pooler.ConsoleAsync("SHOW PREPARED")).Sum(static row => int.Parse(row["clients"]!)));
        Assert.DoesNotContain(await pooler.ConsoleAsync("SHOW PREPARED"), static row => row["text"] == "select 'new'");
        Assert.Null((await holder.QueryAsync("COMMIT")).Error);
        Assert.Equal("0", await WrittenAsync(database));
    }, static ini => ini.Settings["query_wait_timeout"] = "0.5");

    /// <summary>The batch at the front is refused; what the client has sent behind it runs, as in PostgreSQL.</summary>
    [Fact]
    public Task ACancelInTheQueueRefusesOneBatch() => WithClientAsync(async (pooler, database, client) =>
    {
        using PgWire holder = await pooler.LoginAsync(database);
        Assert.Null((await holder.QueryAsync("BEGIN")).Error);
        await client.SendAsync(Script.Read("P new{select 'new'} B write(1) E C one S B write(2) E B one E S B new E S").Request);
        await pooler.WaitersAreAsync(1);
        await CancelAsync(pooler, client);
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error!.Value.SqlState);
        await pooler.WaitersAreAsync(1);
        Assert.Null((await holder.QueryAsync("COMMIT")).Error);
        await AssertRepliesAsync(client, "2 C(INSERT 0 1) 2 D(one) C(SELECT 1) Z(I)", "E(26000 prepared statement \"new\" does not exist) Z(I)");
        await AssertAsync(client, "P new{select 'new'} B new E S", "1 2 D(new) C(SELECT 1) Z(I)");
        Assert.Equal("1", await WrittenAsync(database));
    });

    /// <summary>What ran before the cancel is rolled back; names given before it stay, as in PostgreSQL, those behind it are none.</summary>
    [Fact]
    public Task ACancelHitsTheBatchThatRuns() => WithClientAsync(async (pooler, database, client) =>
    {
        await RunningAsync(database, client, "P before{select 'before'} B write(1) E P behind{select 'behind'} C one S B before E B write(2) E S B behind E S",
            () => CancelAsync(pooler, client));
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error!.Value.SqlState);
        await AssertRepliesAsync(client, "2 D(before) C(SELECT 1) 2 C(INSERT 0 1) Z(I)", "E(26000 prepared statement \"behind\" does not exist) Z(I)");
        await AssertAsync(client, "B one E P behind{select 'other'} B behind E S", "2 D(one) C(SELECT 1) 1 2 D(other) C(SELECT 1) Z(I)");
        using PgWire other = await pooler.LoginAsync(database);
        await AssertAsync(other, "P behind{select 'its own'} B behind E B before E S", "1 2 D(its own) C(SELECT 1) E(26000 prepared statement \"before\" does not exist) Z(I)");
        Assert.Equal("1", await WrittenAsync(database));
    });

    private static async Task CancelAsync(PoolerProcess pooler, PgWire client)
    {
        using PgWire canceling = await PgWire.ConnectAsync(pooler.EndPoint);
        await canceling.SendAsync(PgRequest.Cancel(client.Key));
        Assert.Null(await canceling.ReadAsync());
    }

    /// <summary>Sends a script whose write waits for a lock, does something meanwhile, and lets it go on.</summary>
    private async Task RunningAsync(string database, PgWire client, string script, Func<Task> meanwhile)
    {
        using PgWire locking = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await locking.LoginAsync(database, PostgresCluster.Superuser);
        Assert.Null((await locking.QueryAsync("BEGIN; LOCK TABLE written")).Error);
        await client.SendAsync(Script.Read(script).Request);
        await postgres.RunsAsync(database, "insert into written");
        await meanwhile();
        Assert.Null((await locking.QueryAsync("COMMIT")).Error);
    }

    private async Task<string?> WrittenAsync(string database) => (await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM written")).ToString();

    private static async Task AssertAsync(PgWire wire, string script, params string[] replies) => Assert.Equal(replies, await Script.RunAsync(wire, script));

    private static async Task AssertRepliesAsync(PgWire wire, params string[] replies)
    {
        foreach (string reply in replies)
            Assert.Equal(reply, Script.Tell(await wire.ReadReplyAsync()));
    }

    /// <summary>One server, and a client that has prepared "write" and "one".</summary>
    private async Task WithClientAsync(Func<PoolerProcess, string, PgWire, Task> test, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(database, "CREATE TABLE written (i int); GRANT ALL ON written TO PUBLIC");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: adjust);
        using PgWire client = await pooler.LoginAsync(database);
        await AssertAsync(client, "P write{insert into written values ($1)} P one{select 'one'} B one E S", "1 1 2 D(one) C(SELECT 1) Z(I)");
        await test(pooler, database, client);
    }
}
