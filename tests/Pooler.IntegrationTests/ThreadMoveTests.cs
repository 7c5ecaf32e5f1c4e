using System.Diagnostics;
using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>
/// A few servers between two I/O threads whose clients all want them: every other lease moves one to the other thread, while
/// servers are ended, queries run into their timeout and clients leave.
/// </summary>
public sealed class ThreadMoveTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const string SlowUser = "slow";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(15);

    /// <summary>The fewer wait on each thread, the more often a server is sent to the other.</summary>
    [Theory]
    [InlineData(1, 3)]
    [InlineData(3, 30)]
    public Task ServersMoveUnderTraffic(int poolSize, int clients) => MoveAsync(postgres, poolSize, clients, moves: 5000);

    [Theory]
    [InlineData(1, 20)]
    [InlineData(3, 200)]
    [Trait("Category", "Long")]
    public Task ServersMoveUnderTrafficForLong(int poolSize, int clients) => MoveAsync(postgres, poolSize, clients, moves: 100_000);

    /// <summary>TLS servers move like others.</summary>
    [Theory]
    [InlineData(3, 30)]
    public Task TlsServersMove(int poolSize, int clients) => MoveOverTlsAsync(poolSize, clients, moves: 3000);

    [Theory]
    [InlineData(3, 100)]
    [Trait("Category", "Long")]
    public Task TlsServersMoveForLong(int poolSize, int clients) => MoveOverTlsAsync(poolSize, clients, moves: 100_000);

    /// <summary>Without harm nothing is lost: neither a reply, nor a connection, nor the server.</summary>
    [Fact]
    public async Task NothingIsLostByMoving()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(postgres, database, poolSize: 1);
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => pooler.LoginAsync(database)));
        int server = await clients[0].ServerAsync();
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(clients.Select(client => Task.Run(async () =>
        {
            for (int request = 0; await MovesAsync(pooler, database, request) < 1000 && Stopwatch.GetElapsedTime(start) < Limit; request++)
                Assert.Equal(server, await client.ServerAsync());
        })));
        Assert.InRange(await MovesAsync(pooler, database, 0), 1000, long.MaxValue);
        foreach (PgWire client in clients)
            client.Dispose();
    }

    private async Task MoveOverTlsAsync(int poolSize, int clients, int moves)
    {
        using Certificates made = await Certificates.CreateAsync();
        var cluster = new PostgresCluster();
        await cluster.InitializeAsync();
        try
        {
            await cluster.EnableTlsAsync(made);
            await MoveAsync(cluster, poolSize, clients, moves, static ini => ini.Settings["server_tls_sslmode"] = "require");
        }
        finally
        {
            await cluster.DisposeAsync();
        }
    }

    private async Task MoveAsync(PostgresCluster cluster, int poolSize, int clients, int moves, Action<PoolerIni>? adjust = null)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer has one thread");
        string database = await cluster.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(cluster, database, poolSize, adjust);
        using var done = new CancellationTokenSource(Limit);
        var harm = new Harm();
        Task[] running = [.. Enumerable.Range(0, clients).Select(number => Task.Run(() => RunClientAsync(pooler, database, number, harm, done.Token)))];
        Task killing = KillAsync(cluster, database, harm, done.Token);

        long moved = 0;
        while (moved < moves && !done.IsCancellationRequested && !running.Any(static client => client.IsFaulted))
        {
            await Task.Delay(50);
            moved = await MovesAsync(pooler, database, 0);
        }

        bool inTime = !done.IsCancellationRequested;
        await done.CancelAsync();
        await Task.WhenAll([.. running, killing]);
        output.WriteLine($"{moved} moves, {harm.Answered} answered, {harm.Killed} servers ended, {harm.TimedOut} timeouts, {harm.Left} clients left, {harm.Lost} lost");
        Assert.True(inTime, $"only {moved} moves");
        Assert.True(harm.Answered > moves / 2, $"only {harm.Answered} answered");
        Assert.True(harm.Killed > 0 && harm.TimedOut > 0 && harm.Left > 0, "nothing happened to anybody");

        // All is in order behind them.
        await Eventually.BecomesAsync("all leases end", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
        Assert.InRange(await cluster.CountServersAsync(database), 0, poolSize);
        using PgWire last = await pooler.LoginAsync(database);
        Assert.Equal('I', (await last.QueryAsync("SELECT 1")).TransactionStatus);
        PoolerProcess.PoolCounts counts = await Eventually.BecomesAsync("the server is free", () => pooler.PoolCountsAsync(database), static counts => counts.ServersFree > 0);
        Assert.InRange(counts.ServersFree, 1, poolSize);
    }

    private static async Task RunClientAsync(PoolerProcess pooler, string database, int number, Harm harm, CancellationToken done)
    {
        var random = new Random(number);
        bool isSlow = number % 10 == 0;
        PgWire? wire = null;
        for (int request = 0; !done.IsCancellationRequested; request++)
        {
            try
            {
                wire ??= await pooler.LoginAsync(database, isSlow ? SlowUser : PostgresCluster.User);
                string token = $"c{number}q{request}r{random.Next():x8}";
                switch (random.Next(200))
                {
                    case 0:
                        // It leaves in the middle.
                        await wire.SendAsync(new PgRequest().Query("BEGIN").Query($"SELECT '{token}'"));
                        Interlocked.Increment(ref harm.Left);
                        wire.Dispose();
                        wire = null;
                        continue;
                    case < 3 when isSlow:
                        PgMessage? error = await TooLongAsync(wire, token);
                        if (error?.Fields()['M'].StartsWith("query timeout", StringComparison.Ordinal) == true)
                            Interlocked.Increment(ref harm.TimedOut);
                        wire.Dispose();
                        wire = null;
                        continue;
                    case < 20:
                        await AskAsync(wire, new PgRequest().Query("BEGIN"), null);
                        await AskAsync(wire, new PgRequest().Query($"SELECT '{token}'"), token);
                        await AskAsync(wire, new PgRequest().Query("COMMIT"), null);
                        break;
                    case < 60:
                        await AskAsync(wire, new PgRequest().Parse("", "SELECT $1::text").Bind("", "", token).Execute().Sync(), token);
                        break;
                    default:
                        await AskAsync(wire, new PgRequest().Query($"SELECT '{token}'"), token);
                        break;
                }

                Interlocked.Increment(ref harm.Answered);
            }
            catch (TimeoutException fault)
            {
                throw new TimeoutException(await DescribeAsync(pooler), fault);
            }
            catch (Exception fault) when (fault is EndOfStreamException or SocketException)
            {
                Interlocked.Increment(ref harm.Lost);
                wire?.Dispose();
                wire = null;
            }
        }

        wire?.Dispose();
    }

    /// <summary>What the console says when somebody waits for ever.</summary>
    private static async Task<string> DescribeAsync(PoolerProcess pooler)
    {
        var text = new System.Text.StringBuilder();
        foreach (string command in (string[])["SHOW POOLS", "SHOW SERVERS", "SHOW CLIENTS"])
        {
            foreach (Dictionary<string, string?> row in await pooler.ConsoleAsync(command))
                text.AppendLine(string.Join(' ', row.Select(static field => $"{field.Key}={field.Value}")));
        }

        return text.ToString();
    }

    private static async Task<PgMessage?> TooLongAsync(PgWire wire, string token)
    {
        await wire.SendAsync(new PgRequest().Query($"SELECT '{token}', pg_sleep(30)"));
        return (await wire.ReadToEndAsync()).LastOrDefault() is { Type: 'E' } error ? error : null;
    }

    private static async Task AskAsync(PgWire wire, PgRequest request, string? row)
    {
        await wire.SendAsync(request);
        PgReply reply = await wire.ReadReplyAsync();
        if (reply.Error is not null || !reply.Rows.Select(static values => values[0]).SequenceEqual(row is null ? [] : [row]))
            throw new ForeignDataException($"asked for {row}, got {reply}");
    }

    private static async Task KillAsync(PostgresCluster cluster, string database, Harm harm, CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            await Task.Delay(250, CancellationToken.None);
            harm.Killed += await cluster.ScalarAsync<long>(PostgresCluster.Superuser,
                $"SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname = '{database}' ORDER BY random() LIMIT 1) AS one");
        }
    }

    /// <summary>Servers brought from one thread to the other so far, asked for at every twentieth request.</summary>
    private static async Task<long> MovesAsync(PoolerProcess pooler, string database, int request) => request % 20 != 0 ? 0
        : (await pooler.ConsoleAsync("SHOW STATS")).Where(row => row["database"] == database).Sum(static row => long.Parse(row["total_moved_grants"]!));

    private static Task<PoolerProcess> StartAsync(PostgresCluster cluster, string database, int poolSize, Action<PoolerIni>? adjust = null) => PoolerProcess.StartAsync(cluster, database, poolSize: poolSize, adjust: ini =>
    {
        adjust?.Invoke(ini);
        ini.Settings["workers"] = "2";
        // All share one pool, and one user's queries have little time.
        ini.Databases[ini.Databases.Keys.Single()] += $" user={PostgresCluster.User}";
        ini.Passwords[SlowUser] = "";
        ini.UserSettings[SlowUser] = "query_timeout=0.05";
        ini.Settings["query_wait_timeout"] = "20";
        ini.Settings["server_cleanup_timeout"] = "2";
        ini.Settings["server_login_retry"] = "0.1";
        ini.Settings["log_connections"] = ini.Settings["log_disconnections"] = ini.Settings["log_pooler_errors"] = "0";
    });

    private sealed class Harm
    {
        public long Answered, Killed, TimedOut, Left, Lost;
    }
}
