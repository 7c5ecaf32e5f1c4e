using System.Diagnostics;

namespace Pooler.IntegrationTests;

/// <summary>What is noticed of hosts, and how soon: death, silence, promotion; and what the console tells of them.</summary>
public sealed class ClusterHealthTests
{
    private const string Database = "app";
    private const string Where = "SELECT current_setting('port')::int";
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY)";

    /// <summary>Probes are far apart: what tells is that the servers are gone.</summary>
    [Fact]
    public async Task ADeadProcessIsNoticedAtOnceAndAPromotionSoonAfterIt()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary"), interval: "30");
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync(Schema);
        await set.CatchUpAsync(1);

        long start = Stopwatch.GetTimestamp();
        await set.Primary.KillAsync();
        await Eventually.EqualsAsync("the primary is seen to be down", "down", () => HostAsync(pooler, 0, "status"));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 5);

        // The client waits, so the standby is looked at every 20 ms.
        await pooler.SendAndWaitInQueueAsync(client, "INSERT INTO t VALUES (1) RETURNING current_setting('port')");
        await set.Hosts[1].BeginPromotionAsync();
        await Eventually.EqualsAsync("it takes writes", false, () => set.Hosts[1].ScalarAsync<bool>("SELECT pg_is_in_recovery()"));
        start = Stopwatch.GetTimestamp();
        Assert.Equal($"{set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);
        TestContext.Current.TestOutputHelper?.WriteLine($"{Stopwatch.GetElapsedTime(start).TotalMilliseconds:0.0} ms after it was seen to take writes");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 1);
    }

    [Fact]
    public async Task AFastShutdownIsNoticedAtOnce()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary"), interval: "30");
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Primary.StopAsync();
        await Eventually.EqualsAsync("the primary is seen to be down", "down", () => HostAsync(pooler, 0, "status"), TimeSpan.FromSeconds(5));
        await pooler.SendAndWaitInQueueAsync(client, Where);
        await set.Primary.StartAsync();
        Assert.Equal($"{set.Primary.Port}", (await client.ReadReplyAsync()).Scalar);
    }

    /// <summary>A primary that falls silent, is replaced and comes back gets nothing, neither before nor after it is seen again.</summary>
    [Fact]
    public async Task ASilentPrimaryIsNoticedWithinTheTimeoutAndGetsNothingWhenItIsBack()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1, isGated: true);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary health_check_timeout=1.5"), interval: "0.5");
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync(Schema);
        await set.CatchUpAsync(1);

        long start = Stopwatch.GetTimestamp();
        set.Primary.Gate!.Silence();
        await Eventually.EqualsAsync("the primary is seen to be down", "down", () => HostAsync(pooler, 0, "status"));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0.9, 2.5);
        await client.SendAsync(new PgRequest().Query("INSERT INTO t VALUES (1) RETURNING current_setting('port')"));
        await set.Hosts[1].PromoteAsync();
        Assert.Equal($"{set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);

        set.Primary.Gate.Heal();
        await Eventually.EqualsAsync("the old primary is seen", "rival", () => HostAsync(pooler, 0, "role"));
        await Eventually.EqualsAsync("and it answers", "up", () => HostAsync(pooler, 0, "status"));
        Assert.Contains("timeline 1", await HostAsync(pooler, 0, "problem"), StringComparison.Ordinal);
        Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync("INSERT INTO t VALUES (2) RETURNING current_setting('port')")).Scalar);
        Assert.Equal(0L, await set.Primary.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    /// <summary>Across a restart of Pooler too: the state file has the timeline.</summary>
    [Fact]
    public async Task AnOldPrimaryThatIsThereAloneAfterARestartIsNotFollowed()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        string state = Path.Combine(set.Hosts[1].Folder, "pooler.state");
        await using (PoolerProcess first = await StartAsync(set.Entry("routing=primary"), "0.05", state))
        {
            using PgWire client = await first.LoginAsync(Database);
            await set.Primary.KillAsync();
            await Eventually.EqualsAsync("the primary is seen to be down", "down", () => HostAsync(first, 0, "status"));
            await set.Hosts[1].PromoteAsync();
            Assert.Equal($"{set.Hosts[1].Port}", (await client.QueryAsync(Where)).Scalar);
            await Eventually.EqualsAsync("it is kept", true, async () => (await File.ReadAllTextAsync(state)).EndsWith(" 2 app\n", StringComparison.Ordinal));
        }

        await set.Hosts[1].KillAsync();
        await set.Primary.StartAsync();
        await using PoolerProcess second = await StartAsync(set.Entry("routing=primary failover_hold_time=1"), "0.05", state);
        await Eventually.EqualsAsync("the old primary is not followed", "rival", () => HostAsync(second, 0, "role"));
        using PgWire login = await PgWire.ConnectAsync(second.EndPoint);
        await login.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", Database)));
        Assert.Equal("57P03", (await login.ReadToEndAsync()).Last().SqlState);
        await set.Hosts[1].StartAsync();
        using PgWire late = await second.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[1].Port}", (await late.QueryAsync(Where)).Scalar);
    }

    [Fact]
    public async Task APrimaryMadeReadOnlyIsWaitedFor()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary"));
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync(Schema);
        await set.Primary.SetAsync("default_transaction_read_only = on");
        await Eventually.EqualsAsync("it is seen to be read-only", "1", () => HostAsync(pooler, 0, "read_only"));
        await pooler.SendAndWaitInQueueAsync(client, "INSERT INTO t VALUES (1) RETURNING current_setting('port')");
        await set.Primary.SetAsync("default_transaction_read_only = off");
        Assert.Equal($"{set.Primary.Port}", (await client.ReadReplyAsync()).Scalar);
    }

    [Theory]
    [InlineData("stay", 0)]
    [InlineData("newest", 1)]
    public async Task ASecondPrimaryIsFollowedOnlyWhereThatIsWanted(string rule, int expected)
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry($"routing=primary on_two_primaries={rule}"));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Hosts[1].PromoteAsync();
        await Eventually.EqualsAsync("the other is the rival", "rival", () => HostAsync(pooler, 1 - expected, "role"));
        Assert.Equal($"{set.Hosts[expected].Port}", (await client.QueryAsync(Where)).Scalar);
        await pooler.SeesInLogAsync("is not the primary");
    }

    [Fact]
    public async Task WhereTwoTakeWritesNobodyDoesIfThatIsWanted()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary on_two_primaries=hold"));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Hosts[1].PromoteAsync();
        await Eventually.EqualsAsync("the second is seen", "rival", () => HostAsync(pooler, 1, "role"));
        await pooler.SendAndWaitInQueueAsync(client, Where);
        await set.Primary.StopAsync();
        Assert.Equal($"{set.Hosts[1].Port}", (await client.ReadReplyAsync()).Scalar);
    }

    [Fact]
    public async Task TheConsoleTellsWhoReplicates()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 0);
        await set.Primary.SetAsync("synchronous_standby_names = 'near'");
        PostgresHost near = await set.AddStandbyAsync(set.Primary, "cluster_name = near");
        PostgresHost cascade = await set.AddStandbyAsync(near, "cluster_name = far");
        PostgresHost subscriber = await set.AddSubscriberAsync(set.Primary, Schema);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=prefer_replica max_replica_lag_time=0"));

        await Eventually.EqualsAsync("everybody's role", "primary,replica,replica,subscriber",
            async () => string.Join(',', (await pooler.ConsoleAsync("SHOW HOSTS")).Select(static h => h["role"])));
        Assert.Equal(("sync", "1"), (await HostAsync(pooler, 1, "sync_state"), await HostAsync(pooler, 1, "streaming")));
        List<Dictionary<string, string?>> rows = await pooler.ConsoleAsync("SHOW REPLICATION");
        string[] expected = [$"{set.Primary.Port} {near.Port} physical sync", $"{set.Primary.Port} {subscriber.Port} logical async", $"{near.Port} {cascade.Port} physical async"];
        Assert.Equal(expected.Order(StringComparer.Ordinal),
            rows.Select(static r => $"{r["sender_port"]} {r["port"]} {r["kind"]} {r["sync_state"]}").Order(StringComparer.Ordinal));

        await near.PauseReplayAsync();
        await set.Primary.SetAsync("synchronous_standby_names = ''");
        await set.Primary.ExecuteAsync("INSERT INTO t VALUES (1)");
        await Eventually.EqualsAsync("the pause is seen", ("1", true), async () => (await HostAsync(pooler, 1, "replay_paused"), long.Parse((await HostAsync(pooler, 1, "lag_bytes"))!) > 0));
        await near.ResumeReplayAsync();

        // A subscriber serves reads once all its tables follow, and its lag is known by what it has confirmed.
        await Eventually.EqualsAsync("the subscriber is up to date", "0", () => HostAsync(pooler, 3, "lag_bytes"));
        await near.StopAsync();
        await cascade.StopAsync();
        await Eventually.EqualsAsync("the standbys are seen to be down", 2, async () => (await pooler.ConsoleAsync("SHOW HEALTH")).Count(static h => h["state"] == "down"));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{subscriber.Port}", (await client.QueryAsync(Where)).Scalar);
        Assert.All((await pooler.ConsoleAsync("SHOW HEALTH")).Where(static h => h["state"] == "down"), static h => Assert.NotNull(h["last_error"]));
    }

    /// <summary>Its probes are answered, over the connection they have; but nobody new gets in.</summary>
    [Fact]
    public async Task AReplicaThatOpensNoServersIsLeftOut()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=prefer_replica weight=1,1,0"), adjust: static ini => ini.Settings["server_connect_timeout"] = "0.3");
        await Eventually.EqualsAsync("all hosts are known", 3, async () => (await pooler.ConsoleAsync("SHOW HEALTH")).Count(static h => h["state"] == "up"));
        await Eventually.EqualsAsync("the replicas are fresh", 2, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["lag_us"] == "0"));
        await set.Hosts[1].SetAsync("pre_auth_delay = 10");
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal($"{set.Hosts[2].Port}", (await client.QueryAsync(Where)).Scalar);
        Dictionary<string, string?> health = (await pooler.ConsoleAsync("SHOW HEALTH"))[1];
        Assert.Equal(("1", "connect timeout"), (health["ejections"], health["last_error"]));
        await pooler.SeesInLogAsync("is left out for 1 s: connect timeout");
        Assert.All((await pooler.ConsoleAsync("SHOW HEALTH")).Where((_, i) => i != 1), static other => Assert.Equal(("up", "0"), (other["state"], other["ejections"])));
    }

    /// <summary>A standby without a WAL receiver: pg_control knows its timeline only from the last restartpoint.</summary>
    [Fact]
    public async Task AStandbyFedFromAnArchiveIsOnTheTimelineItReplays()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        PostgresHost fed = await set.AddStandbyAsync(set.Primary);
        string archive = fed.Folder;
        foreach (PostgresHost host in (PostgresHost[])[set.Primary, set.Hosts[1]])
        {
            await host.SetAsync("archive_mode = on", $"archive_command = 'cp %p {archive}/%f'");
            await host.StopAsync();
            await host.StartAsync();
        }

        await fed.SetAsync("primary_conninfo = ''", $"restore_command = 'cp {archive}/%f %p'");

        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=primary"));
        await set.Primary.ExecuteAsync("CREATE TABLE t (id int)");
        await set.CatchUpAsync(1);
        await SwitchAndReplayAsync(set.Primary, fed);
        await Eventually.EqualsAsync("it is fed", ("0", "1"), async () => (await HostAsync(pooler, 2, "streaming"), await HostAsync(pooler, 2, "timeline")));
        await Eventually.BecomesAsync("its lag is known", () => HostAsync(pooler, 2, "lag_bytes"), static lag => lag != null);

        await set.Primary.StopAsync();
        await set.Hosts[1].PromoteAsync();
        await SwitchAndReplayAsync(set.Hosts[1], fed);
        await Eventually.EqualsAsync("it has followed", "2", () => HostAsync(pooler, 2, "timeline"));
        await Eventually.BecomesAsync("its lag is known again", () => HostAsync(pooler, 2, "lag_bytes"), static lag => lag != null);
        Assert.Equal(1, await fed.ScalarAsync<int>("SELECT timeline_id FROM pg_control_checkpoint()"));
    }

    /// <summary>A segment is archived when it is full, or done with.</summary>
    private static async Task SwitchAndReplayAsync(PostgresHost primary, PostgresHost standby)
    {
        await primary.ExecuteAsync("INSERT INTO t VALUES (1)");
        string end = await primary.ScalarAsync<string>("SELECT pg_current_wal_insert_lsn()::text");
        await primary.ExecuteAsync("SELECT pg_switch_wal()");
        await standby.ReplaysAsync(end);
    }

    /// <summary>A monitor that may not see who replicates knows no lag: its replicas serve nobody, and everybody is told why.</summary>
    [Fact]
    public async Task WhatTheMonitorMayNotSeeIsNotFresh()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await set.Primary.ExecuteAsync("CREATE ROLE watcher LOGIN");
        await set.CatchUpAsync(1);
        await using PoolerProcess pooler = await StartAsync(set.Entry("routing=prefer_replica monitor_user=watcher"));
        using PgWire client = await pooler.LoginAsync(Database);
        await Eventually.EqualsAsync("both are known", 2, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "up"));
        Assert.Contains("pg_monitor", await HostAsync(pooler, 1, "problem"), StringComparison.Ordinal);
        await pooler.SeesInLogAsync("the monitor's user lacks pg_monitor");
        Assert.Single(pooler.LogLines, line => line.Contains($"{set.Hosts[1].Port}: the monitor's user lacks pg_monitor", StringComparison.Ordinal));
        Assert.Equal($"{set.Primary.Port}", (await client.QueryAsync(Where)).Scalar);
        await set.Primary.ExecuteAsync("GRANT pg_monitor TO watcher");
        await Eventually.EqualsAsync("the replica serves", $"{set.Hosts[1].Port}", async () => (await client.QueryAsync(Where)).Scalar);
    }

    /// <summary>A server that says "too many connections" is alive: its host stays the primary, and nobody is cut off.</summary>
    [Fact]
    public async Task AHostWithoutAConnectionForTheMonitorStaysWhatItWas()
    {
        await using PostgresHost host = await PostgresHost.CreateAsync(settings: "max_connections = 10");
        await host.ExecuteAsync("CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE filler LOGIN");
        await using PoolerProcess pooler = await StartAsync($"host=127.0.0.1 port={host.Port} dbname=postgres routing=primary monitor_user=watcher");
        using PgWire client = await pooler.LoginAsync(Database);
        await client.QueryAsync("BEGIN");

        // The monitor loses its place, and everybody else's is taken before it may have it back.
        await host.ExecuteAsync("ALTER ROLE watcher CONNECTION LIMIT 0");
        await host.ExecuteAsync("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'watcher'");
        await Eventually.BecomesAsync("it asks in vain", () => HostAsync(pooler, 0, "problem"), static problem => problem?.Contains("for role", StringComparison.Ordinal) == true);
        List<PgWire> fillers = [];
        await Eventually.BecomesAsync("every place is taken", async () =>
        {
            fillers.AddRange(await FillAsync(host)); // Whoever is just being refused has a place, too, for a moment.
            return await host.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> 'watcher' AND pid <> pg_backend_pid()");
        }, static taken => taken >= 10 - 3); // superuser_reserved_connections
        await host.ExecuteAsync("ALTER ROLE watcher CONNECTION LIMIT -1");
        await Eventually.BecomesAsync("the monitor is refused", () => HostAsync(pooler, 0, "problem"), static problem => problem?.Contains("connection slots", StringComparison.Ordinal) == true);
        Assert.Equal(("primary", "up"), (await HostAsync(pooler, 0, "role"), await HostAsync(pooler, 0, "status")));
        Assert.Equal($"{host.Port}", (await client.QueryAsync(Where)).Scalar);
        await client.QueryAsync("COMMIT");
        Assert.Equal($"{host.Port}", (await client.QueryAsync(Where)).Scalar);
        await pooler.SeesInLogAsync("has no connection left for its probe");
        Assert.Single(pooler.LogLines, static line => line.Contains("has no connection left for its probe", StringComparison.Ordinal));

        fillers.ForEach(static filler => filler.Dispose());
        await Eventually.EqualsAsync("the monitor is back", null, () => HostAsync(pooler, 0, "problem"));
        Assert.DoesNotContain(pooler.LogLines, static line => line.Contains(" is down", StringComparison.Ordinal));
    }

    /// <summary>Takes every connection that is not kept for superusers.</summary>
    private static async Task<List<PgWire>> FillAsync(PostgresHost host)
    {
        var fillers = new List<PgWire>();
        while (true)
        {
            PgWire filler = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, host.Port));
            await filler.SendAsync(PgRequest.Startup(("user", "filler"), ("database", "postgres")));
            PgMessage last = default;
            while (last.Type is not ('Z' or 'E'))
                last = (await filler.ReadAsync())!.Value;
            if (last.Type == 'E')
            {
                filler.Dispose();
                Assert.Equal("53300", last.SqlState);
                return fillers;
            }

            fillers.Add(filler);
        }
    }

    private static async Task<string?> HostAsync(PoolerProcess pooler, int index, string column) => (await pooler.ConsoleAsync("SHOW HOSTS"))[index][column];

    private static Task<PoolerProcess> StartAsync(string entry, string interval = "0.05", string? stateFile = null, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        ini.Databases[Database] = entry;
        ini.Settings["health_check_interval"] = interval;
        if (stateFile != null)
            ini.Settings["cluster_state_file"] = stateFile;
        adjust?.Invoke(ini);
        return PoolerProcess.StartAsync(ini);
    }
}
