namespace Pooler.IntegrationTests;

/// <summary>Entries with routing: to the primary wherever it is, to replicas, and what waits while there is none.</summary>
public sealed class RoutingTests
{
    private const string Database = "app";
    private const string Where = "SELECT current_setting('port')::int";

    [Fact]
    public async Task EverythingGoesToThePrimaryWhereverItIsInTheList()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary", 1, 0));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await client.QueryAsync("CREATE TABLE t AS SELECT 1");

        List<Dictionary<string, string?>> hosts = await pooler.ConsoleAsync("SHOW HOSTS");
        Assert.Equal([("replica", "up", "1"), ("primary", "up", "1")], hosts.Select(static h => (h["role"], h["status"], h["timeline"])));
        Assert.Equal([$"{set.Hosts[1].Port}", $"{set.Primary.Port}"], hosts.Select(static h => h["port"]));
        Dictionary<string, string?> pool = Assert.Single(await pooler.ConsoleAsync("SHOW POOLS"), static p => p["database"] == Database);
        Assert.Equal(("1", "1"), (pool["cl_active"], pool["sv_idle"]));
    }

    [Fact]
    public async Task ReplicasServeWhileTheyAreThere()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=prefer_replica"));
        using PgWire first = await pooler.LoginAsync(Database), second = await pooler.LoginAsync(Database);
        await Eventually.EqualsAsync("all hosts are known", 3, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "up"));

        // The second goes where the first is not.
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");
        string?[] ports = [(await first.QueryAsync(Where)).Scalar, (await second.QueryAsync(Where)).Scalar];
        Assert.Equal([.. set.Hosts.Skip(1).Select(static h => $"{h.Port}").Order(StringComparer.Ordinal)], ports.Order(StringComparer.Ordinal));
        await first.QueryAsync("COMMIT");
        await second.QueryAsync("COMMIT");

        await set.Hosts[1].StopAsync();
        await set.Hosts[2].StopAsync();
        await Eventually.EqualsAsync("the standbys are seen to be down", 2, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "down"));
        Assert.Equal($"{set.Primary.Port}", (await first.QueryAsync(Where)).Scalar);
    }

    [Fact]
    public async Task AClientOfReplicasWaitsForOne()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=replica"));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Hosts[1].StopAsync();
        await Eventually.EqualsAsync("the standby is seen to be down", "down", async () => (await pooler.ConsoleAsync("SHOW HOSTS"))[1]["status"]);
        await pooler.SendAndWaitInQueueAsync(client, Where);
        await set.Hosts[1].StartAsync();
        Assert.Equal($"{set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);
    }

    /// <summary>A failover is a pause: what was not sent goes to the new primary; the old one, back again, gets nothing.</summary>
    [Fact]
    public async Task AQueryThatWaitsGoesToTheNewPrimary()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary"));
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync("CREATE TABLE t (id int)");
        await set.CatchUpAsync(1);

        await set.Primary.KillAsync();
        await client.SendAsync(new PgRequest().Query("INSERT INTO t VALUES (1) RETURNING current_setting('port')"));
        await Eventually.EqualsAsync("the primary is seen to be down", "down", async () => (await pooler.ConsoleAsync("SHOW HOSTS"))[0]["status"]);
        await set.Hosts[1].PromoteAsync();
        Assert.Equal($"{set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);

        await set.Primary.StartAsync();
        await Eventually.EqualsAsync("the old primary is not followed", ("rival", "up"), async () => (await pooler.ConsoleAsync("SHOW HOSTS"))[0] is var h ? (h["role"], h["status"]) : default);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync("INSERT INTO t VALUES (2) RETURNING current_setting('port')")).Scalar);
        Assert.Equal(0L, await set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
        Assert.Equal(2L, await set.Hosts[1].ScalarAsync<long>("SELECT count(*) FROM t"));
        await Eventually.EqualsAsync("the log tells of two primaries", true,
            () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("takes writes and is not the primary", StringComparison.Ordinal))));

        // Nobody writes where two do, not even when the new primary falls silent.
        await set.Hosts[1].KillAsync();
        await Eventually.EqualsAsync("the new primary is seen to be down", "down", async () => (await pooler.ConsoleAsync("SHOW HOSTS"))[1]["status"]);
        await pooler.SendAndWaitInQueueAsync(client, "INSERT INTO t VALUES (3)");
        Assert.Equal(0L, await set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    /// <summary>Requests and logins are held for a host, but not for ever.</summary>
    [Fact]
    public async Task WhatNoHostTakesFailsAfterTheHoldTime()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary failover_hold_time=1"));
        using PgWire client = await pooler.LoginAsync(Database), login = await PgWire.ConnectAsync(pooler.EndPoint);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Primary.KillAsync();
        await Eventually.EqualsAsync("the primary is seen to be down", "down", async () => (await pooler.ConsoleAsync("SHOW HOSTS"))[0]["status"]);

        await client.SendAsync(new PgRequest().Query(Where));
        await login.SendAsync(PgRequest.Startup(("user", PoolerIni.Admin), ("database", Database)));
        foreach (PgWire held in (PgWire[])[client, login])
        {
            PgMessage error = (await held.ReadToEndAsync()).Last();
            Assert.Equal(("57P03", "FATAL"), (error.SqlState, error.Fields()['S']));
            Assert.Contains("failover_hold_time", error.Fields()['M'], StringComparison.Ordinal);
        }
    }

    /// <summary>RELOAD turns routing on and off under a client.</summary>
    [Fact]
    public async Task RoutingComesAndGoesWithAReload()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("", 1));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync(Where)).Scalar);

        await ReloadAsync(pooler, set.Entry("", 1), set.Entry("routing=primary", 1, 0));
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);

        await ReloadAsync(pooler, set.Entry("routing=primary", 1, 0), set.Entry("", 1));
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync(Where)).Scalar);
        Assert.Empty(await pooler.ConsoleAsync("SHOW HOSTS"));
    }

    internal static async Task ReloadAsync(PoolerProcess pooler, string before, string after)
    {
        string file = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace(before, after, StringComparison.Ordinal));
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
    }

    private static Task<PoolerProcess> StartAsync(string entry)
    {
        var ini = new PoolerIni();
        ini.Databases[Database] = entry;
        ini.Settings["health_check_interval"] = "0.05";
        return PoolerProcess.StartAsync(ini);
    }
}
