namespace Pooler.IntegrationTests;

/// <summary>What a client is told when its server dies under it, and that it is true of what the server has kept.</summary>
public sealed class LostServerTests
{
    private const string Database = "app";
    private const string Held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

    /// <summary>How a primary may go.</summary>
    public enum Death
    {
        Killed,
        Stopped,
        StoppedAtOnce,
    }

    /// <summary>A commit waits for a standby that never comes: it is on the disk, and nobody was told.</summary>
    [Theory]
    [InlineData(Death.Killed, "INSERT INTO t VALUES (1)", 1)]
    [InlineData(Death.Killed, "BEGIN; INSERT INTO t VALUES (1); COMMIT", 1)]
    [InlineData(Death.Stopped, "INSERT INTO t VALUES (1)", 1)]
    [InlineData(Death.StoppedAtOnce, "INSERT INTO t VALUES (1)", 1)]
    [InlineData(Death.Stopped, "SELECT add_one()", 1)]
    [InlineData(Death.Killed, "SELECT add_one()", 1)]
    public async Task ACommitThatWaitsIsUnknown(Death death, string sql, long kept)
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set);
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync("SELECT 1");
        using PgWire other = await HoldCommitsAsync(set.Primary);
        await client.SendAsync(new PgRequest().Query(sql));
        await Eventually.EqualsAsync("the commit waits", 2L, () => set.Primary.ScalarAsync<long>(Held));

        await EndAsync(set.Primary, death);
        PgMessage told = (await client.ReadToEndAsync())[^1];
        Assert.Equal(("FATAL", "08007"), (told.Fields()['V'], told.SqlState));
        await set.Primary.StartAsync();
        Assert.Equal(kept, await set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    [Theory]
    [InlineData(Death.Killed, "08006")]
    [InlineData(Death.Stopped, "57P01")]
    [InlineData(Death.StoppedAtOnce, "57P01")]
    public async Task ATransactionBeforeItsCommitIsNotCommitted(Death death, string sqlState)
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set);
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync("BEGIN");
        await client.QueryAsync("INSERT INTO t VALUES (1)");
        await client.SendAsync(new PgRequest().Parse("", "INSERT INTO t SELECT 2 FROM pg_sleep(60)").Bind("", "").Execute().Sync());
        await Eventually.EqualsAsync("it runs", 1L, () => set.Primary.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"));

        await EndAsync(set.Primary, death);
        PgMessage told = (await client.ReadToEndAsync())[^1];
        Assert.Equal(("FATAL", sqlState), (told.Fields()['V'], told.SqlState));
        Assert.Contains("The transaction was not committed.", System.Text.Encoding.UTF8.GetString(told.Body), StringComparison.Ordinal);
        await set.Primary.StartAsync();
        Assert.Equal(0L, await set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    /// <summary>Our own deadlines end a client whose commit waits: it is kept all the same, and nobody was told.</summary>
    [Theory]
    [InlineData("query_timeout", "INSERT INTO t VALUES (1)", "query timeout")]
    [InlineData("query_timeout", "BEGIN; INSERT INTO t VALUES (1); COMMIT", "query timeout")]
    [InlineData("transaction_timeout", "INSERT INTO t VALUES (1)", "transaction timeout")]
    public async Task ADeadlineOfOursDuringACommitIsUnknown(string setting, string sql, string words)
    {
        await using ReplicaSet set = await StartAsync();
        int http = FreePort.Next();
        await using PoolerProcess pooler = await StartPoolerAsync(set, ini => (ini.Settings[setting], ini.Settings["http_listen_port"]) = ("0.5", $"{http}"));
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync("SELECT 1");
        using PgWire other = await HoldCommitsAsync(set.Primary);
        string unknown = $"pooler_commits_unknown_total{{database=\"{Database}\"}}";
        Assert.Equal(0, (await MetricsTests.ScrapeAsync(http))[unknown]);
        await client.SendAsync(new PgRequest().Query(sql));
        PgMessage told = await client.ReadFatalAsync();
        Assert.Equal(("FATAL", "08007", words + " (the outcome of the request is unknown)"), (told.Fields()['V'], told.SqlState, told.Fields()['M']));
        Assert.Equal(1, (await MetricsTests.ScrapeAsync(http))[unknown]);
        Assert.Contains("may or may not", told.Fields()['D'], StringComparison.Ordinal);
        Assert.NotEmpty(told.Fields()['H']);
        await Eventually.EqualsAsync("it was committed", 1L, () => set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    /// <summary>What only reads has no outcome to look for, and neither has a transaction before its COMMIT.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("BEGIN; INSERT INTO t VALUES (1)")]
    public async Task ADeadlineOfOursWithoutACommitSaysNoMore(string before)
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set, static ini => ini.Settings["query_timeout"] = "0.5");
        using PgWire client = await pooler.LoginAsync(Database);
        await Eventually.EqualsAsync("the catalogue is known", true, () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("the catalogue was read", StringComparison.Ordinal))));
        if (before.Length > 0)
            await client.QueryAsync(before);
        await using Npgsql.NpgsqlConnection lockHolder = await set.Primary.OpenAsync();
        await using var command = new Npgsql.NpgsqlCommand("BEGIN; LOCK TABLE probe", lockHolder);
        await command.ExecuteNonQueryAsync();
        await client.SendAsync(new PgRequest().Query("SELECT count(*) FROM probe"));
        await client.AssertFatalAsync("query timeout");
    }

    /// <summary>A read is answered by the next primary, as if nothing had been; a client in between requests notices nothing at all.</summary>
    [Theory]
    [InlineData(Death.Killed)]
    [InlineData(Death.Stopped)]
    [InlineData(Death.StoppedAtOnce)]
    public async Task AReadWaitsForTheNextPrimary(Death death)
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set);
        using PgWire client = await pooler.LoginAsync(Database), prepared = await pooler.LoginAsync(Database), idle = await pooler.LoginAsync(Database);
        await idle.QueryAsync("SELECT 1");
        await prepared.SendAsync(new PgRequest().Parse("p", "SELECT count(*) FROM t").Sync());
        await prepared.ReadReplyAsync();
        await Eventually.EqualsAsync("the catalogue is known", true, () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("the catalogue was read", StringComparison.Ordinal))));

        await using (Npgsql.NpgsqlConnection lockHolder = await set.Primary.OpenAsync())
        {
            await using var command = new Npgsql.NpgsqlCommand("BEGIN; LOCK TABLE t", lockHolder);
            await command.ExecuteNonQueryAsync();
            await client.SendAsync(new PgRequest().Query("SELECT count(*) || ' by ' || inet_server_port() FROM t"));
            await prepared.SendAsync(new PgRequest().Bind("", "p").Execute().Sync());
            await Eventually.EqualsAsync("they wait for the lock", 2L, () => set.Primary.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"));
            await EndAsync(set.Primary, death);
        }

        await set.Hosts[1].PromoteAsync();
        Assert.Equal($"0 by {set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);
        Assert.Equal("0", (await prepared.ReadReplyAsync()).Scalar);
        Assert.Null((await idle.QueryAsync("INSERT INTO t VALUES (1)")).Error);
    }

    /// <summary>From here on no commit is answered; the result is the first that was not.</summary>
    private static async Task<PgWire> HoldCommitsAsync(PostgresHost host)
    {
        PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, host.Port));
        await wire.LoginAsync("postgres", PostgresCluster.Superuser);
        await host.SetAsync("synchronous_standby_names = 'nobody'");
        Task<PgReply>? commit = null;
        await Eventually.EqualsAsync("the setting is in force", 1L, async () =>
        {
            // PostgreSQL's checkpointer brings it about, in its own time.
            commit = commit is { IsCompleted: false } ? commit : wire.QueryAsync("INSERT INTO probe VALUES (1)");
            return await host.ScalarAsync<long>(Held);
        });
        return wire;
    }

    private static Task EndAsync(PostgresHost host, Death death) => death switch
    {
        Death.Killed => host.KillAsync(),
        Death.Stopped => host.StopAsync(),
        _ => host.StopAtOnceAsync(),
    };

    private static async Task<ReplicaSet> StartAsync()
    {
        ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await set.Primary.ExecuteAsync("CREATE TABLE t (id int); CREATE TABLE probe (id int); CREATE FUNCTION add_one() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'");
        await set.CatchUpAsync(1);
        return set;
    }

    private static Task<PoolerProcess> StartPoolerAsync(ReplicaSet set, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        ini.Databases[Database] = set.Entry("routing=primary");
        ini.Settings["health_check_interval"] = "0.1";
        adjust?.Invoke(ini);
        return PoolerProcess.StartAsync(ini);
    }
}
