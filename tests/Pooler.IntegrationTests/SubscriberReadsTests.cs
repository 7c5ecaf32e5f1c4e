namespace Pooler.IntegrationTests;

/// <summary>A logical subscriber could be written to: what reads there cannot, whatever it has set for itself.</summary>
public sealed class SubscriberReadsTests
{
    private const string Schema = """
        CREATE TABLE t (id int PRIMARY KEY);
        CREATE SEQUENCE s;
        CREATE FUNCTION hidden_write() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM nextval(''s''); RETURN inet_server_port(); END';
        """;

    private const string Where = "SELECT inet_server_port()";

    [Fact]
    public async Task ASubscriberIsOnlyReadFrom()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 0);
        PostgresHost subscriber = await set.AddSubscriberAsync(set.Primary, Schema);
        var ini = new PoolerIni();
        ini.Databases["app"] = set.Entry("routing=read_write_split read_after_write=off max_replica_lag_time=0");
        ini.Settings["health_check_interval"] = "0.05";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire client = await pooler.LoginAsync("app");
        string primary = $"{set.Primary.Port}";
        await Eventually.EqualsAsync("the subscriber serves", $"{subscriber.Port}", async () => (await client.QueryAsync(Where)).Scalar);

        Assert.Equal(primary, (await client.QueryAsync("SELECT hidden_write() AS a")).Scalar);
        Assert.Null((await client.QueryAsync("SET default_transaction_read_only = off")).Error);
        Assert.Equal(primary, (await client.QueryAsync("SELECT hidden_write() AS b")).Scalar);
        Assert.Equal($"{subscriber.Port}", (await client.QueryAsync(Where)).Scalar);

        // Transactions and settings are not for a host that could be written to.
        await client.QueryAsync("BEGIN READ ONLY");
        Assert.Equal(primary, (await client.QueryAsync(Where)).Scalar);
        await client.QueryAsync("COMMIT");
        Assert.Equal(primary, (await client.QueryAsync("/* pooler: replica */ SELECT hidden_write() AS c FROM set_config('default_transaction_read_only', 'off', false)")).Scalar);

        // Another client has the same server.
        using PgWire other = await PgWire.ConnectAsync(pooler.EndPoint);
        await other.LoginAsync("app", PostgresCluster.User, ("options", "-c default_transaction_read_only=off"));
        Assert.Equal($"{subscriber.Port}", (await other.QueryAsync(Where)).Scalar);
        Assert.Equal(primary, (await other.QueryAsync("SELECT hidden_write() AS d")).Scalar);
        Assert.Null((await other.QueryAsync("INSERT INTO t VALUES (1)")).Error);
        Assert.False(await subscriber.ScalarAsync<bool>("SELECT is_called FROM s"));
        Assert.Equal("off", (await client.QueryAsync("SHOW default_transaction_read_only")).Scalar);
    }

    /// <summary>The entry whose pools are shared may know less of the hosts than the one that sends reads there.</summary>
    [Theory]
    [InlineData("app")]
    [InlineData("app_split")]
    public async Task SharedServersOfASubscriberAreOnlyReadFrom(string first)
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 0);
        PostgresHost subscriber = await set.AddSubscriberAsync(set.Primary, Schema);
        var ini = new PoolerIni();
        ini.Databases["app"] = set.Entry("routing=primary monitor_user=nobody failover_hold_time=0");
        ini.Databases["app_split"] = set.Entry("routing=read_write_split share_pools=app read_after_write=off max_replica_lag_time=0");
        ini.Settings["health_check_interval"] = "0.05";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        if (first == "app")
        {
            using PgWire refused = await PgWire.ConnectAsync(pooler.EndPoint);
            Assert.Equal("57P03", (await refused.StartAsync(("user", PostgresCluster.User), ("database", "app"))).Error?.SqlState);
        }

        using PgWire client = await pooler.LoginAsync("app_split");
        await Eventually.EqualsAsync("the subscriber serves", $"{subscriber.Port}", async () => (await client.QueryAsync(Where)).Scalar);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync("SELECT hidden_write() AS a")).Scalar);
        Assert.False(await subscriber.ScalarAsync<bool>("SELECT is_called FROM s"));
    }
}
