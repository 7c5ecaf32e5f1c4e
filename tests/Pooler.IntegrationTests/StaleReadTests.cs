using System.Diagnostics;
using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>
/// Clients that write and read what they have written, while replicas are paused, killed, restarted and given another source. A read
/// that misses its client's own write is stale. POOLER_TEST_PAIRS says how many pairs.
/// </summary>
public sealed class StaleReadTests(ITestOutputHelper output)
{
    private const string Database = "app";
    private const int Clients = 8;

    private static readonly int Pairs = int.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_PAIRS"), CultureInfo.InvariantCulture, out int n) ? n : 3000;

    /// <summary>The test of the test: whoever reads on replicas without a bound reads what is old.</summary>
    [Fact]
    public async Task WithoutABoundReadsAreStale()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set, "routing=read_write_split read_after_write=off");
        await set.Hosts[1].PauseReplayAsync();
        await set.Hosts[2].PauseReplayAsync();
        Tally tally = await RunAsync(set, pooler, 200);
        Tell(tally);
        Assert.True(tally.Stale > 0, "no read was stale");
    }

    [Fact]
    public async Task ASessionReadsItsOwnWrites()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set, "routing=read_write_split read_after_write=session");
        await set.Primary.SetAsync("synchronous_commit = off"); // What is sent to replicas lies behind what is acknowledged.
        using var over = new CancellationTokenSource();
        Task trouble = TroubleAsync(set, over.Token);
        Tally tally = await RunAsync(set, pooler, Pairs);
        await over.CancelAsync();
        await trouble;
        Tell(tally);
        Assert.Equal(0, tally.Stale);
        Assert.Equal(0, tally.BackInTime);
    }

    /// <summary>Replicas that keep up serve most reads: those of others, and a writer's own a little later.</summary>
    [Fact]
    public async Task ReplicasThatKeepUpServeMostReads()
    {
        await using ReplicaSet set = await StartAsync();
        await using PoolerProcess pooler = await StartPoolerAsync(set, "routing=read_write_split");
        Tally tally = await RunAsync(set, pooler, Pairs / 3);
        Tell(tally);
        Assert.Equal((0, 0), (tally.Stale, tally.BackInTime));
        Assert.InRange(tally.Late, 0.7, 1);
        Assert.InRange(tally.Others, 0.95, 1);
    }

    private void Tell(Tally tally) => output.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{tally.Pairs} pairs: {tally.Stale} stale, {tally.BackInTime} back in time; own reads on replicas: at once {tally.Early:P0}, 100 ms later {tally.Late:P0}; others' {tally.Others:P0}"));

    private static async Task<Tally> RunAsync(ReplicaSet set, PoolerProcess pooler, int pairs)
    {
        var tally = new Tally();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(n => Task.Run(() => WriteAndReadAsync(set, pooler, n, pairs / Clients, tally))));
        return tally;
    }

    private static async Task WriteAndReadAsync(ReplicaSet set, PoolerProcess pooler, int client, int pairs, Tally tally)
    {
        PgWire wire = await pooler.LoginAsync(Database), other = await pooler.LoginAsync(Database);
        await other.QueryAsync("SELECT 1");
        long seenByOther = 0;
        for (int i = 1; i <= pairs; i++)
        {
            PgReply written = await wire.QueryAsync($"UPDATE pair SET value = {i} WHERE id = {client}");
            Assert.Null(written.Error);
            long committed = Stopwatch.GetTimestamp();
            Interlocked.Increment(ref tally.Pairs);
            await ReadAsync(wire, i, isLate: false);
            if (i % 20 == 0)
            {
                // What a session that wrote nothing sees may be old, but never older than what it has seen.
                (long value, bool isReplica) = await ValueAsync(other);
                Interlocked.Increment(ref tally.OtherReads);
                Interlocked.Add(ref tally.OtherReplicaReads, isReplica ? 1 : 0);
                Interlocked.Add(ref tally.BackInTime, value < seenByOther ? 1 : 0);
                seenByOther = value;
                await Eventually.EqualsAsync("100 ms have gone by", true, () => Task.FromResult(Stopwatch.GetElapsedTime(committed).TotalMilliseconds >= 100));
                await ReadAsync(wire, i, isLate: true);
            }
        }

        wire.Dispose();
        other.Dispose();

        async Task ReadAsync(PgWire reader, int least, bool isLate)
        {
            (long value, bool isReplica) = await ValueAsync(reader);
            Interlocked.Add(ref tally.Stale, value < least ? 1 : 0);
            Interlocked.Increment(ref isLate ? ref tally.LateReads : ref tally.EarlyReads);
            Interlocked.Add(ref isLate ? ref tally.LateReplicaReads : ref tally.EarlyReplicaReads, isReplica ? 1 : 0);
        }

        async Task<(long Value, bool IsReplica)> ValueAsync(PgWire reader)
        {
            PgReply reply = await reader.QueryAsync($"SELECT value, inet_server_port() FROM pair WHERE id = {client}");
            Assert.Null(reply.Error);
            string?[] row = reply.Rows.Single();
            return (long.Parse(row[0]!, CultureInfo.InvariantCulture), row[1] != $"{set.Primary.Port}");
        }
    }

    /// <summary>One replica after the other: its replay stands still, it dies and comes back, it gets its WAL from the other one.</summary>
    private static async Task TroubleAsync(ReplicaSet set, CancellationToken over)
    {
        for (int i = 0; !over.IsCancellationRequested; i++)
        {
            PostgresHost victim = set.Hosts[1 + (i % 2)], other = set.Hosts[2 - (i % 2)];
            await victim.PauseReplayAsync();
            await Task.Delay(100, CancellationToken.None);
            await victim.ResumeReplayAsync();
            await victim.FollowAsync(other);
            await Task.Delay(100, CancellationToken.None);
            await victim.FollowAsync(set.Primary);
            await victim.StopAtOnceAsync();
            await victim.StartAsync();
        }
    }

    private static async Task<ReplicaSet> StartAsync()
    {
        ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        await set.Primary.ExecuteAsync($"CREATE TABLE pair AS SELECT id, 0::bigint AS value FROM generate_series(0, {Clients - 1}) id");
        await Task.WhenAll(set.CatchUpAsync(1), set.CatchUpAsync(2));
        return set;
    }

    private static async Task<PoolerProcess> StartPoolerAsync(ReplicaSet set, string routing)
    {
        var ini = new PoolerIni();
        ini.Databases[Database] = set.Entry($"{routing} pool_size=10");
        ini.Settings["health_check_interval"] = "0.2";
        PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        await Eventually.EqualsAsync("the catalogue is known", true, () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("the catalogue was read", StringComparison.Ordinal))));
        return pooler;
    }

    private sealed class Tally
    {
        public int Pairs, Stale, BackInTime, EarlyReads, EarlyReplicaReads, LateReads, LateReplicaReads, OtherReads, OtherReplicaReads;

        public double Early => EarlyReplicaReads / (double)Math.Max(1, EarlyReads);

        public double Late => LateReplicaReads / (double)Math.Max(1, LateReads);

        public double Others => OtherReplicaReads / (double)Math.Max(1, OtherReads);
    }
}
