using System.Globalization;
using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>
/// Everything that can come and go does, for a while: clients that leave at any byte or read nothing, servers that are ended,
/// RELOAD, PAUSE, moves between threads. Then nobody is left, and what was lent is back: descriptors, connections, buffers, memory.
/// POOLER_TEST_CHURN_MINUTES says how long (scripts/churn.sh).
/// </summary>
public sealed class ChurnTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const int PoolSize = 10, Clients = 30;

    // The collector's own breath; a leak of a few hundred bytes a connection is far beyond it.
    private const long HeapAllowance = 12 << 20, ResidentAllowance = 64 << 20;

    private static readonly TimeSpan Length = TimeSpan.FromMinutes(
        double.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_CHURN_MINUTES"), CultureInfo.InvariantCulture, out double minutes) ? minutes : 0.3);

    [Fact]
    public async Task WhatWasLentComesBack()
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "its SHOW MEM tells other things");
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: PoolSize, adjust: static ini =>
        {
            ini.Settings["workers"] = "4";
            ini.Settings["client_write_timeout"] = "2";
            ini.Settings["server_login_retry"] = "0.1";
            ini.Settings["log_connections"] = ini.Settings["log_disconnections"] = ini.Settings["log_pooler_errors"] = "0";
        });
        int seed = Random.Shared.Next(1_000_000);
        output.WriteLine($"seed {seed}, {Length.TotalMinutes:0.0} minutes");
        using (var warm = new CancellationTokenSource(TimeSpan.FromSeconds(3)))
            await ChurnAsync(pooler, database, seed, warm.Token);
        Figures before = await SettleAsync(pooler, database, null);

        using var over = new CancellationTokenSource(Length);
        await ChurnAsync(pooler, database, seed + 1, over.Token);
        Figures after = await SettleAsync(pooler, database, before);

        output.WriteLine($"{"",-14} {"before",14} {"after",14}");
        foreach ((string name, long was, long now) in before.Beside(after))
            output.WriteLine($"{name,-14} {was,14} {now,14}");
        Assert.Equal(before.Counts, after.Counts);
        Assert.InRange(after.Heap, 0, before.Heap + HeapAllowance);
        Assert.InRange(after.Resident, 0, before.Resident + ResidentAllowance);
    }

    private async Task ChurnAsync(PoolerProcess pooler, string database, int seed, CancellationToken over)
    {
        var done = new Tally();
        await Task.WhenAll(
            Task.Run(() => LoadAsync(pooler, database, seed, done, over), CancellationToken.None),
            Task.Run(() => EndServersAsync(database, done, over), CancellationToken.None),
            Task.Run(() => CommandAsync(pooler, new Random(seed + 1), done, over), CancellationToken.None),
            Task.Run(() => ReadNothingAsync(pooler, database, new Random(seed + 2), done, over), CancellationToken.None),
            Task.Run(() => KnockAsync(pooler, database, new Random(seed + 3), done, over), CancellationToken.None));
        string moves = (await pooler.ConsoleAsync("SHOW STATS")).Single(row => row["database"] == database)["total_moved_grants"]!;
        output.WriteLine($"{done.Answered} answered, {done.Left} left, {done.Lost} lost, {done.Ended} servers ended, {done.Commands} commands, {done.Unread} read nothing, {done.Knocks} knocked, {moves} moves so far");
        Assert.True(done.Answered > 0 && done.Left > 0 && done.Ended > 0 && done.Commands > 0 && done.Unread > 0 && done.Knocks > 0, "something did not happen");
    }

    private static async Task LoadAsync(PoolerProcess pooler, string database, int seed, Tally done, CancellationToken over)
    {
        for (int round = 0; !over.IsCancellationRequested; round++)
        {
            var load = new OwnershipLoad(pooler, database, "transaction", Clients, requestsEach: 10, seed + round);
            await load.RunAsync().WaitAsync(Patience.Long, CancellationToken.None);
            done.Answered += load.Answered;
            done.Left += load.Disappeared;
            done.Lost += load.Lost;
        }
    }

    private async Task EndServersAsync(string database, Tally done, CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            await Task.Delay(200, CancellationToken.None);
            done.Ended += await postgres.ScalarAsync<long>(PostgresCluster.Superuser,
                $"SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname = '{database}' ORDER BY random() LIMIT 1) AS one");
        }
    }

    private static async Task CommandAsync(PoolerProcess pooler, Random random, Tally done, CancellationToken over)
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        while (!over.IsCancellationRequested)
        {
            string[] commands = random.Next(3) == 0 ? ["PAUSE", "RESUME"] : ["RELOAD"];
            foreach (string command in commands)
                Assert.Equal(command, (await console.QueryAsync(command)).Messages[0].Text());
            done.Commands++;
            await Task.Delay(300, CancellationToken.None);
        }
    }

    /// <summary>Clients that ask for much and take nothing, until they go or are sent away.</summary>
    private static async Task ReadNothingAsync(PoolerProcess pooler, string database, Random random, Tally done, CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            using PgWire? wire = await TryAsync(() => pooler.LoginAsync(database));
            if (wire is null)
                continue;
            await TryAsync(async () =>
            {
                await wire.SendAsync(new PgRequest().Query("SELECT repeat('x', 8000000)").Query("SELECT repeat('y', 100)").Query("SELECT 1").Query("SELECT 2").Query("SELECT 3"));
                return wire;
            });
            await Task.Delay(random.Next(20) == 0 ? 3000 : random.Next(100), CancellationToken.None);
            done.Unread++;
        }
    }

    /// <summary>Clients that leave at some byte of their login.</summary>
    private static async Task KnockAsync(PoolerProcess pooler, string database, Random random, Tally done, CancellationToken over)
    {
        byte[] startup = PgRequest.Startup([("user", PostgresCluster.User), ("database", database)]).ToArray();
        while (!over.IsCancellationRequested)
        {
            using PgWire? wire = await TryAsync(() => PgWire.ConnectAsync(pooler.EndPoint));
            if (wire is null)
                continue;
            await TryAsync(async () =>
            {
                await wire.SendAsync(startup.AsMemory(0, random.Next(startup.Length + 1)));
                return wire;
            });
            done.Knocks++;
            await Task.Delay(random.Next(20), CancellationToken.None);
        }
    }

    /// <summary>Null when the connection was lost, as it may be here.</summary>
    private static async Task<PgWire?> TryAsync(Func<Task<PgWire>> act)
    {
        try
        {
            return await act();
        }
        catch (Exception fault) when (fault is EndOfStreamException or SocketException)
        {
            return null;
        }
    }

    /// <summary>Nobody is here, no server is kept: what is in use now. Waits until it is as before, or gives what it last was.</summary>
    private static async Task<Figures> SettleAsync(PoolerProcess pooler, string database, Figures? before)
    {
        await Eventually.BecomesAsync("all leases end", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        long start = Environment.TickCount64;
        while (true)
        {
            await console.QueryAsync("PAUSE");
            await console.QueryAsync("RESUME");
            Figures figures = await Figures.ReadAsync(pooler, console);
            if (before is null ? figures.IsCalm : figures.Counts == before.Counts && figures.Heap <= before.Heap + HeapAllowance)
                return figures;
            if (Environment.TickCount64 - start > Patience.Default.TotalMilliseconds)
                return figures;
            await Task.Delay(50);
        }
    }

    private sealed class Tally
    {
        public long Answered, Left, Lost, Ended, Commands, Unread, Knocks;
    }

    private sealed record Counts(long Descriptors, long Connections, long Blocks, long Buffers, long Received, long Orphans);

    private sealed record Figures(Counts Counts, long Heap, long Resident)
    {
        /// <summary>The connection that asks, and nothing else.</summary>
        public bool IsCalm => Counts is { Connections: 1, Received: 0, Orphans: 0 };

        public static async Task<Figures> ReadAsync(PoolerProcess pooler, PgWire console)
        {
            Dictionary<string, Dictionary<string, string?>> rows = (await console.QueryAsync("SHOW MEM")).ToMaps().ToDictionary(static row => row["name"]!);
            long Number(string row, string column) => long.Parse(rows[row][column]!, CultureInfo.InvariantCulture);
            return new Figures(
                new Counts(pooler.FileDescriptorCount, Number("connections", "used"), Number("blocks", "used"), Number("buffers", "used"), Number("received", "used"), Number("orphans", "used")),
                Number("heap", "bytes"),
                Number("resident", "bytes"));
        }

        public IEnumerable<(string Name, long Was, long Now)> Beside(Figures now) =>
        [
            ("descriptors", Counts.Descriptors, now.Counts.Descriptors),
            ("connections", Counts.Connections, now.Counts.Connections),
            ("blocks", Counts.Blocks, now.Counts.Blocks),
            ("buffers", Counts.Buffers, now.Counts.Buffers),
            ("received", Counts.Received, now.Counts.Received),
            ("orphans", Counts.Orphans, now.Counts.Orphans),
            ("heap", Heap, now.Heap),
            ("resident", Resident, now.Resident),
        ];
    }
}
