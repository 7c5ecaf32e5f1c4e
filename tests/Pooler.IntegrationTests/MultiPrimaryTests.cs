namespace Pooler.IntegrationTests;

/// <summary>routing = multi_primary: several hosts take writes, here two of which one subscribes to the other; each client stays with one.</summary>
public sealed class MultiPrimaryTests
{
    private const string Database = "app";
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY)";
    private const string Where = "SELECT current_setting('port')";

    [Fact]
    public async Task EachClientStaysWithOneOfTwoPrimaries()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=multi_primary"));
        await AreBothPrimariesAsync(pooler);
        HashSet<string?> used = [];
        for (int i = 0; i < 40; i++)
        {
            using PgWire client = await pooler.LoginAsync(Database);
            string? home = (await client.QueryAsync(Where)).Scalar;
            used.Add(home);
            for (int j = 0; j < 5; j++)
                Assert.Equal(home, (await client.QueryAsync(Where)).Scalar);
            Assert.Null((await client.QueryAsync($"INSERT INTO t VALUES ({(home == $"{set.Hosts[1].Port}" ? i + 100 : i)})")).Error);
        }

        Assert.Equal(2, used.Count);
        Assert.Contains("100", await set.Hosts[1].ScalarAsync<string>("SELECT string_agg((id - id % 100)::text, ',') FROM t"), StringComparison.Ordinal);
    }

    /// <summary>The nearest first; when it dies the next, where the client stays although the first is back.</summary>
    [Fact]
    public async Task ItGoesToTheNearestAndWhenThatDiesToTheNext()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=multi_primary zone=a,b failover_hold_time=1"));
        await AreBothPrimariesAsync(pooler);
        string far = $"{set.Hosts[0].Port}", near = $"{set.Hosts[1].Port}";
        List<PgWire> clients = [];
        for (int i = 0; i < 5; i++)
        {
            clients.Add(await pooler.LoginAsync(Database));
            Assert.Equal(near, (await clients[i].QueryAsync(Where)).Scalar);
        }

        await set.Hosts[1].KillAsync();
        await Eventually.EqualsAsync("it is seen to be down", "down", () => HostAsync(pooler, 1, "status"));
        foreach (PgWire client in clients)
            Assert.Equal(far, (await client.QueryAsync(Where)).Scalar);
        using PgWire late = await pooler.LoginAsync(Database);
        Assert.Equal(far, (await late.QueryAsync(Where)).Scalar);

        await set.Hosts[1].StartAsync();
        await AreBothPrimariesAsync(pooler);
        foreach (PgWire client in clients)
            Assert.Equal(far, (await client.QueryAsync(Where)).Scalar);
        using PgWire later = await pooler.LoginAsync(Database);
        Assert.Equal(near, (await later.QueryAsync(Where)).Scalar);

        await set.Hosts[0].KillAsync();
        await set.Hosts[1].KillAsync();
        await Eventually.EqualsAsync("both are seen to be down", ("down", "down"), async () => (await HostAsync(pooler, 0, "status"), await HostAsync(pooler, 1, "status")));
        await clients[0].SendAsync(new PgRequest().Query(Where));
        PgMessage told = await clients[0].ReadFatalAsync();
        Assert.Equal("57P03", told.SqlState);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public async Task AReadOnlyPrimaryIsLeft()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=multi_primary zone=a,b"));
        await AreBothPrimariesAsync(pooler);
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Hosts[1].SetAsync("default_transaction_read_only = on");
        await Eventually.EqualsAsync("it is seen to be read-only", "1", () => HostAsync(pooler, 1, "read_only"));
        Assert.Equal($"{set.Hosts[0].Port}", (await client.QueryAsync(Where)).Scalar);
        Assert.Contains("default_transaction_read_only", await HostAsync(pooler, 1, "problem"), StringComparison.Ordinal);
    }

    /// <summary>Under a client; the subscriber is written to only while it is a primary.</summary>
    [Fact]
    public async Task ItComesAndGoesWithAReload()
    {
        await using ReplicaSet set = await StartAsync();
        string one = set.Entry("routing=primary zone=a,b"), many = set.Entry("routing=multi_primary zone=a,b");
        await using PoolerProcess pooler = await StartAsync(one);
        await Eventually.EqualsAsync("roles are known", ("primary", "subscriber"), () => RolesAsync(pooler));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[0].Port}", (await client.QueryAsync(Where)).Scalar);

        await RoutingTests.ReloadAsync(pooler, one, many);
        await AreBothPrimariesAsync(pooler);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync("INSERT INTO t VALUES (1) RETURNING current_setting('port')")).Scalar);

        await RoutingTests.ReloadAsync(pooler, many, one);
        await Eventually.EqualsAsync("roles are as before", ("primary", "subscriber"), () => RolesAsync(pooler));
        Assert.Equal($"{set.Hosts[0].Port}", (await client.QueryAsync("INSERT INTO t VALUES (2) RETURNING current_setting('port')")).Scalar);
    }

    private static async Task<ReplicaSet> StartAsync()
    {
        ReplicaSet set = await ReplicaSet.StartAsync(standbys: 0);
        await set.AddSubscriberAsync(set.Primary, Schema);
        return set;
    }

    private static Task<PoolerProcess> StartAsync(string entry)
    {
        var ini = new PoolerIni { Databases = { [Database] = entry } };
        ini.Settings["health_check_interval"] = "0.05";
        ini.Settings["zone"] = "b";
        return PoolerProcess.StartAsync(ini);
    }

    private static async Task AreBothPrimariesAsync(PoolerProcess pooler)
    {
        await Eventually.EqualsAsync("both are primaries", ("primary", "primary"), () => RolesAsync(pooler));
        await Eventually.EqualsAsync("both are up", ("up", "up"), async () => (await HostAsync(pooler, 0, "status"), await HostAsync(pooler, 1, "status")));
        Assert.Equal((null, null), (await HostAsync(pooler, 0, "problem"), await HostAsync(pooler, 1, "problem")));
    }

    private static async Task<(string?, string?)> RolesAsync(PoolerProcess pooler) => (await HostAsync(pooler, 0, "role"), await HostAsync(pooler, 1, "role"));

    private static async Task<string?> HostAsync(PoolerProcess pooler, int index, string column) => (await pooler.ConsoleAsync("SHOW HOSTS"))[index][column];
}
