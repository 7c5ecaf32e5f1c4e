namespace Pooler.IntegrationTests;

/// <summary>SWITCHOVER on the console: a pause for those who write, or all as it was.</summary>
public sealed class SwitchoverTests
{
    private const string Promote = "psql -h $POOLER_NEW_HOST -p $POOLER_NEW_PORT -U app -d postgres -c 'SELECT pg_promote()'";

    [Theory]
    [InlineData(Promote)]
    [InlineData(null)] // Somebody else promotes.
    public async Task WritersSeeAPause(string? command)
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        await set.Primary.ExecuteAsync("CREATE TABLE log (client int, n int, PRIMARY KEY (client, n))");
        await using PoolerProcess pooler = await StartAsync(set, command);
        using var stop = new CancellationTokenSource();
        Task<int>[] writers = [.. Enumerable.Range(0, 8).Select(i => WriteAsync(pooler, i, stop.Token))];
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await Eventually.EqualsAsync("they write", true, async () => await set.Primary.ScalarAsync<long>("SELECT count(*) FROM log") > 100);

        await console.SendAsync(new PgRequest().Query($"SWITCHOVER app TO 127.0.0.1:{set.Hosts[1].Port}"));
        if (command == null)
        {
            await Eventually.EqualsAsync("it may be promoted", true, () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("promote it now", StringComparison.Ordinal))));
            await set.Hosts[1].PromoteAsync();
        }

        PgReply reply = await console.ReadReplyAsync();
        Assert.Null(reply.Error);
        long there = await set.Hosts[1].ScalarAsync<long>("SELECT count(*) FROM log");
        await Eventually.EqualsAsync("they write on the new primary", true, async () => await set.Hosts[1].ScalarAsync<long>("SELECT count(*) FROM log") > there + 100);
        await stop.CancelAsync();
        long written = (await Task.WhenAll(writers)).Sum();
        Assert.Equal(written, await set.Hosts[1].ScalarAsync<long>("SELECT count(*) FROM log"));

        // The old one was not stopped: it takes writes, and gets none.
        Assert.Equal(["rival", "primary"], (await pooler.ConsoleAsync("SHOW HOSTS")).Take(2).Select(static h => h["role"]));
        Assert.True(await set.Primary.ScalarAsync<long>("SELECT count(*) FROM log") <= there);
    }

    [Fact]
    public async Task ATransactionThatDoesNotEndStopsIt()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, Promote, "switchover_drain_time=0.2");
        using PgWire client = await pooler.LoginAsync("app"), console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await client.QueryAsync("BEGIN");
        PgReply reply = await console.QueryAsync($"SWITCHOVER app TO 127.0.0.1:{set.Hosts[1].Port}");
        Assert.Equal("55000", reply.Error!.Value.SqlState);
        Assert.Contains("switchover_drain_time: app@127.0.0.1:", reply.Error.Value.Fields()['M'], StringComparison.Ordinal);
        Assert.Null((await client.QueryAsync("CREATE TABLE t AS SELECT 1")).Error);
        Assert.Null((await client.QueryAsync("COMMIT")).Error);
        Assert.Null((await client.QueryAsync("DROP TABLE t")).Error);
        Assert.Equal("t", await set.Hosts[1].ScalarAsync<string>("SELECT CASE WHEN pg_is_in_recovery() THEN 't' ELSE 'f' END"));
    }

    [Fact]
    public async Task WhatCannotMoveIsNamedAndEnded()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, Promote);
        using PgWire pinned = await pooler.LoginAsync("app"), other = await pooler.LoginAsync("app"), console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await pinned.QueryAsync("CREATE TEMP TABLE mine (n int)");
        await other.QueryAsync("SELECT 1");
        PgReply reply = await console.QueryAsync($"SWITCHOVER app TO 127.0.0.1:{set.Hosts[1].Port}");
        Assert.Null(reply.Error);
        Assert.Contains("cannot move and will be ended: a temporary table", Assert.Single(reply.Messages, static m => m.Type == 'N').Fields()['M'], StringComparison.Ordinal);
        Assert.Equal("57P01", Assert.Single(await pinned.ReadToEndAsync(), static m => m.Type == 'E').SqlState);
        Assert.Equal("f", (await other.QueryAsync("SELECT pg_is_in_recovery()")).Scalar);
    }

    [Fact]
    public async Task WithoutAPromotionAllIsAsItWas()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, command: null, "failover_hold_time=1");
        using PgWire client = await pooler.LoginAsync("app"), console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        PgReply reply = await console.QueryAsync($"SWITCHOVER app TO 127.0.0.1:{set.Hosts[1].Port}");
        Assert.Contains("was not promoted within failover_hold_time", reply.Error!.Value.Fields()['M'], StringComparison.Ordinal);
        Assert.Null((await client.QueryAsync("CREATE TABLE t AS SELECT 1")).Error);
    }

    [Fact]
    public async Task ACommandThatFailsSaysSo()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "exit 3");
        using PgWire client = await pooler.LoginAsync("app"), console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        PgReply reply = await console.QueryAsync($"SWITCHOVER app TO 127.0.0.1:{set.Hosts[1].Port}");
        Assert.Contains("switchover_command has failed with exit status 3", reply.Error!.Value.Fields()['M'], StringComparison.Ordinal);
        Assert.Null((await client.QueryAsync("CREATE TABLE t AS SELECT 1")).Error);
    }

    [Fact]
    public async Task WhatCannotBeIsRefused()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, Promote);
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        foreach ((string command, string sqlState) in ((string, string)[])
            [
                ("SWITCHOVER nobody TO x", "3D000"),
                ("SWITCHOVER app TO x", "22023"),
                ("SWITCHOVER app TO 127.0.0.1", "22023"), // Two hosts have that name.
                ($"SWITCHOVER app TO '127.0.0.1:{set.Primary.Port}'", "55000"),
                ("SWITCHOVER app", "22023"),
                ("SWITCHOVER app TO", "08P01"),
            ])
        {
            Assert.Equal((command, sqlState), (command, (await console.QueryAsync(command)).Error!.Value.SqlState));
        }
    }

    private static async Task<int> WriteAsync(PoolerProcess pooler, int client, CancellationToken stop)
    {
        using PgWire wire = await pooler.LoginAsync("app");
        int n = 0;
        while (!stop.IsCancellationRequested)
        {
            PgReply reply = await wire.QueryAsync($"INSERT INTO log VALUES ({client}, {++n})");
            Assert.Null(reply.Error);
        }

        return n;
    }

    private static async Task<PoolerProcess> StartAsync(ReplicaSet set, string? command, string entry = "")
    {
        var ini = new PoolerIni { Databases = { ["app"] = set.Entry($"routing=primary {entry}") } };
        ini.Settings["health_check_interval"] = "0.2";
        if (command != null)
            ini.Settings["switchover_command"] = command;
        PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        await Eventually.EqualsAsync("all hosts are known", true, async () =>
            (await pooler.ConsoleAsync("SHOW HOSTS")).All(static h => h["status"] == "up" && (h["role"] == "primary" || h["lag_bytes"] == "0")));
        return pooler;
    }
}
