using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>
/// A bank whose primary dies again and again: nothing is done twice, nothing that was reported failed is there, and what was
/// acknowledged is, as far as the standbys had it. POOLER_TEST_FAILOVERS says how often (scripts/failover.sh).
/// </summary>
public sealed class FailoverTests(ITestOutputHelper output)
{
    private const string Database = "bank";

    private static readonly int Failovers = int.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_FAILOVERS"), CultureInfo.InvariantCulture, out int n) ? n : 2;

    /// <summary>How a primary goes.</summary>
    private enum Death
    {
        Killed,
        Stopped,
        Silent,
    }

    /// <summary>The figures of scripts/failover.sh: the standbys are asynchronous, so that nobody but Pooler is waited for.</summary>
    [Fact]
    public async Task ABankGoesOn()
    {
        await using ReplicaSet set = await StartAsync(isGated: false);
        await using PoolerProcess pooler = await StartPoolerAsync(set);
        var bank = new Bank(pooler, Database, clients: 8);
        bank.Start();
        await bank.GoOnAsync(100);
        PostgresHost primary = set.Primary;
        List<double> pauses = [];
        HashSet<long> behind = [];
        for (int i = 0; i < Failovers; i++)
        {
            Death death = i % 2 == 0 ? Death.Killed : Death.Stopped;
            PostgresHost old = primary;
            (primary, double pause) = await FailOverAsync(set, old, death, bank);
            pauses.Add(pause);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{death,-8} first write {pause,6:0.0} ms after the new primary took writes"));
            if (death == Death.Killed)
            {
                // What it had and nobody else is behind the fork. It takes writes, and gets none.
                await old.StartAsync();
                await bank.GoOnAsync(50);
                List<long> there = await Bank.IdsAsync(old);
                behind.UnionWith(there.Except(await Bank.IdsAsync(primary)));
                await old.StopAsync();
            }

            await old.RejoinAsync(primary);
            await bank.GoOnAsync(100);
        }

        await bank.StopAsync();
        HashSet<long> missing = await bank.AuditAsync(primary, output);
        Assert.Subset(behind, missing);
        pauses.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Failovers} failovers: median {pauses[pauses.Count / 2]:0.0} ms, min {pauses[0]:0.0} ms, max {pauses[^1]:0.0} ms; {behind.Count} transfers behind forks"));
    }

    /// <summary>A switchover is a pause and nothing else: no client hears of it, nothing is lost, whether standbys are synchronous or not.</summary>
    [Fact]
    public async Task ABankGoesOnThroughSwitchovers()
    {
        await using ReplicaSet set = await StartAsync(isGated: false);
        await using PoolerProcess pooler = await StartPoolerAsync(set, $"psql -h $POOLER_NEW_HOST -p $POOLER_NEW_PORT -U {PostgresCluster.Superuser} -c 'SELECT pg_promote()'");
        var bank = new Bank(pooler, Database, clients: 8);
        bank.Start();
        await bank.GoOnAsync(100);
        PostgresHost primary = set.Primary;
        List<double> pauses = [];
        for (int i = 0; i < Failovers; i++)
        {
            PostgresHost successor = set.Hosts.First(host => host != primary);
            await Eventually.EqualsAsync("the pooler knows its lag", true, async () =>
                (await pooler.ConsoleAsync("SHOW HOSTS")).Any(h => h["port"] == $"{successor.PublicPort}" && h["role"] == "replica" && h["lag_bytes"] is not null));
            using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
            long begun = Stopwatch.GetTimestamp();
            Assert.Null((await console.QueryAsync($"SWITCHOVER {Database} TO 127.0.0.1:{successor.PublicPort}")).Error?.Fields()['M']);
            long acknowledged = await bank.NextAcknowledgedAsync(Stopwatch.GetTimestamp());
            pauses.Add(Stopwatch.GetElapsedTime(begun, acknowledged).TotalMilliseconds);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"switchover: {pauses[^1]:0} ms from the command to a write on the new primary"));
            await bank.GoOnAsync(50);
            await primary.StopAsync();
            await primary.RejoinAsync(successor);
            foreach (PostgresHost other in set.Hosts.Where(host => host != primary && host != successor))
                await other.FollowAsync(successor);
            primary = successor;
            await bank.GoOnAsync(100);
        }

        await bank.StopAsync();
        Assert.Empty(await bank.AuditAsync(primary, output));
        Assert.Empty(bank.Errors);
        pauses.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Failovers} switchovers: median {pauses[pauses.Count / 2]:0} ms, min {pauses[0]:0} ms, max {pauses[^1]:0} ms; no client error"));
    }

    /// <summary>With a synchronous standby every acknowledged transfer is there, also when the old primary was only cut off and comes back.</summary>
    [Fact]
    public async Task WithASynchronousStandbyNothingAcknowledgedIsLost()
    {
        await using ReplicaSet set = await StartAsync(isGated: true);
        await set.MakeSynchronousAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set);
        var bank = new Bank(pooler, Database, clients: 8);
        bank.Start();
        await bank.GoOnAsync(100);
        PostgresHost primary = set.Primary;
        foreach (Death death in (Death[])[Death.Killed, Death.Silent])
        {
            PostgresHost old = primary;
            (primary, _) = await FailOverAsync(set, old, death, bank);
            if (death == Death.Silent)
            {
                old.Gate!.Heal();
                await bank.GoOnAsync(100);
                await old.StopAtOnceAsync();
            }

            await old.RejoinAsync(primary);
            await bank.GoOnAsync(100);
        }

        await bank.StopAsync();
        Assert.Empty(await bank.AuditAsync(primary, output));
    }

    /// <summary>The primary goes, the standby that has most is promoted, the other follows it. The pause is from its first own write to the pooler's.</summary>
    private static async Task<(PostgresHost Primary, double Milliseconds)> FailOverAsync(ReplicaSet set, PostgresHost old, Death death, Bank bank)
    {
        switch (death)
        {
            case Death.Killed:
                await old.KillAsync();
                break;
            case Death.Stopped:
                await old.StopAsync();
                break;
            default:
                old.Gate!.Silence();
                break;
        }

        List<(PostgresHost Host, long Received)> standbys = [];
        foreach (PostgresHost host in set.Hosts.Where(host => host != old))
            standbys.Add((host, await host.ScalarAsync<long>("SELECT (pg_last_wal_receive_lsn() - '0/0')::bigint")));
        PostgresHost successor = standbys.MaxBy(static s => s.Received).Host;
        await using NpgsqlConnection probe = await successor.OpenAsync();
        await using (var set1 = new NpgsqlCommand("SET synchronous_commit = local", probe))
            await set1.ExecuteNonQueryAsync();
        long begun = Stopwatch.GetTimestamp();
        await successor.BeginPromotionAsync();
        foreach (PostgresHost other in set.Hosts.Where(host => host != old && host != successor))
            await other.FollowAsync(successor);
        long writable = await FirstWriteAsync(probe);
        long acknowledged = await bank.NextAcknowledgedAsync(begun);
        return (successor, Math.Max(0, Stopwatch.GetElapsedTime(writable, Math.Max(writable, acknowledged)).TotalMilliseconds));
    }

    /// <summary>Asks a host again and again to write, until it does.</summary>
    private static async Task<long> FirstWriteAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand("INSERT INTO probe VALUES (1)", connection);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                await command.ExecuteNonQueryAsync();
                return Stopwatch.GetTimestamp();
            }
            catch (PostgresException fault) when (fault.SqlState == "25006" && Stopwatch.GetElapsedTime(start) < Patience.Default)
            {
                await Task.Delay(1);
            }
        }
    }

    private static async Task<ReplicaSet> StartAsync(bool isGated)
    {
        ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2, isGated);
        await set.Primary.ExecuteAsync(Bank.Schema);
        await set.Primary.ExecuteAsync("CREATE TABLE probe (id int)");
        await Task.WhenAll(set.CatchUpAsync(1), set.CatchUpAsync(2));
        return set;
    }

    private static Task<PoolerProcess> StartPoolerAsync(ReplicaSet set, string? switchoverCommand = null)
    {
        var ini = new PoolerIni();
        if (switchoverCommand is not null)
            ini.Settings["switchover_command"] = switchoverCommand;
        ini.Databases[Database] = set.Entry("routing=primary pool_size=6");
        ini.Settings["health_check_timeout"] = switchoverCommand is null ? "0.5" : "5"; // Where nobody dies a slow machine must not look like death.
        ini.Settings["health_check_interval"] = "0.2";
        return PoolerProcess.StartAsync(ini);
    }
}
