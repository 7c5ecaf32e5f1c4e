namespace Pooler.IntegrationTests;

/// <summary>What the other tests of clusters stand on: hosts that die, come back, fall silent and follow one another.</summary>
public sealed class ReplicaSetTests
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY)";
    private const string Count = "SELECT count(*) FROM t";

    [Fact]
    public async Task AFailedPrimaryRejoinsItsSuccessor()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        (PostgresHost old, PostgresHost successor, PostgresHost other) = (set.Hosts[0], set.Hosts[1], set.Hosts[2]);
        await old.ExecuteAsync(Schema);
        await Task.WhenAll(set.CatchUpAsync(1), set.CatchUpAsync(2));

        // Something only the old one has: it is lost.
        await other.PauseReplayAsync();
        await old.KillAsync();
        await successor.PromoteAsync();
        await other.ResumeReplayAsync();
        await other.FollowAsync(successor);
        await old.StartAsync();
        await old.ExecuteAsync("INSERT INTO t VALUES (1)");
        await old.StopAsync();
        await old.RejoinAsync(successor);
        await successor.ExecuteAsync("INSERT INTO t VALUES (2), (3)");
        string end = await successor.ScalarAsync<string>("SELECT pg_current_wal_insert_lsn()::text");
        foreach (PostgresHost host in (PostgresHost[])[old, other])
        {
            await host.ReplaysAsync(end);
            Assert.Equal(2L, await host.ScalarAsync<long>(Count));
        }
    }

    [Fact]
    public async Task ACommitWaitsForASynchronousStandbyAndCascadesGoOn()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        PostgresHost cascade = await set.AddStandbyAsync(set.Hosts[1]);
        await set.Primary.ExecuteAsync(Schema);
        await set.MakeSynchronousAsync();
        await Eventually.EqualsAsync("the standby is synchronous", "quorum", () => set.Primary.ScalarAsync<string>("SELECT sync_state FROM pg_stat_replication"));
        await set.Primary.ExecuteAsync("INSERT INTO t VALUES (1)");
        await cascade.ReplaysAsync(await set.Primary.ScalarAsync<string>("SELECT pg_current_wal_insert_lsn()::text"));
        Assert.Equal(1L, await cascade.ScalarAsync<long>(Count));

        // It has what is acknowledged, also when nobody had time to look.
        await set.Primary.ExecuteAsync("INSERT INTO t VALUES (2)");
        await set.Primary.KillAsync();
        await set.Hosts[1].PromoteAsync();
        Assert.Equal(2L, await set.Hosts[1].ScalarAsync<long>(Count));
    }

    [Fact]
    public async Task ASubscriberHasTheRows()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 0);
        await set.Primary.ExecuteAsync("SELECT 1");
        PostgresHost subscriber = await set.AddSubscriberAsync(set.Primary, Schema);
        await set.Primary.ExecuteAsync("INSERT INTO t VALUES (1)");
        await Eventually.EqualsAsync("the row is there", 1L, () => subscriber.ScalarAsync<long>(Count));
        Assert.False(await subscriber.ScalarAsync<bool>("SELECT pg_is_in_recovery()"));
    }

    /// <summary>Behind its gate a host hears nothing and says nothing, and nothing is lost; cut off it is gone.</summary>
    [Fact]
    public async Task AHostBehindItsGate()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1, isGated: true);
        await set.Primary.ExecuteAsync(Schema);
        using PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, set.Primary.PublicPort));
        await wire.LoginAsync("postgres", PostgresCluster.Superuser);
        await wire.QueryAsync("SELECT 1");

        set.Primary.Gate!.Silence();
        await wire.SendAsync(new PgRequest().Query("INSERT INTO t VALUES (1) RETURNING id"));
        Task<PgReply> reply = wire.ReadReplyAsync();
        Assert.Equal(0L, await set.Primary.ScalarAsync<long>(Count));
        Assert.False(reply.IsCompleted);
        set.Primary.Gate.Heal();
        Assert.Equal("1", (await reply).Scalar);
        await set.CatchUpAsync(1);

        set.Primary.Gate.Cut();
        Assert.True(await Record.ExceptionAsync(() => wire.QueryAsync("SELECT 1")) is IOException or System.Net.Sockets.SocketException);
        await set.Primary.ExecuteAsync("INSERT INTO t VALUES (2)");
        Assert.Equal(1L, await set.Hosts[1].ScalarAsync<long>(Count));
        set.Primary.Gate.Heal();
        await set.CatchUpAsync(1);
        Assert.Equal(2L, await set.Hosts[1].ScalarAsync<long>(Count));
    }
}
