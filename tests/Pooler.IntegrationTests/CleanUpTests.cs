using System.Diagnostics;

namespace Pooler.IntegrationTests;

/// <summary>A client that leaves costs a clean-up, not the server: with one server the next client sees which one it gets, and how.</summary>
public sealed class CleanUpTests(PostgresCluster postgres)
{
    public static readonly TheoryData<string, string> Points = new()
    {
        { "idle in a transaction", "transaction" },
        { "idle in a transaction", "session" },
        { "a query runs", "transaction" },
        { "a query runs", "session" },
        { "a query runs in a transaction", "transaction" },
        { "a batch without Sync", "transaction" },
        { "a batch without Sync, flushed", "transaction" },
        { "a batch behind a running query", "transaction" },
        { "an error in a batch without Sync", "transaction" },
        { "COPY IN", "transaction" },
        { "COPY IN", "session" },
        { "COPY IN in the extended protocol", "transaction" },
        { "COPY IN in the extended protocol, with Sync", "transaction" },
        { "COPY OUT half read", "transaction" },
        { "COPY OUT in the extended protocol half read", "transaction" },
        { "rows half read", "transaction" },
        { "a suspended portal", "transaction" },
        { "an error in a transaction", "transaction" },
        { "an error in a transaction", "session" },
        { "pipelined queries", "transaction" },
        { "pipelined queries that all take long", "transaction" },
        { "pipelined queries in a transaction", "transaction" },
    };

    [Theory, MemberData(nameof(Points))]
    public Task TheServerIsKeptAndClean(string point, string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        int server;
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.QueryAsync("CREATE TABLE t (line text)");
            server = await leaving.ServerAsync();
            await BringToAsync(point, leaving, database);
        }

        using PgWire next = await pooler.LoginAsync(database);
        PgReply reply = await next.QueryAsync("SELECT pg_backend_pid() || ' ' || (SELECT count(*) FROM t)");
        Assert.Equal('I', reply.TransactionStatus);
        Assert.Equal($"{server} 0", reply.Scalar);
        Assert.Equal(1, await postgres.CountServersAsync(database));
        Assert.Equal("TDCZ", (await next.QueryAsync("SELECT 1")).Types);
    });

    /// <summary>Half a message cannot be taken back: the server is closed, and the place is free.</summary>
    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public Task HalfAMessageCostsTheServer(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        int server;
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.QueryAsync("CREATE TABLE t (line text)");
            server = await leaving.ServerAsync();
            await leaving.QueryAsync("BEGIN");
            await leaving.QueryAsync("INSERT INTO t VALUES ('left')");
            // Longer than what is held back until it is whole.
            await leaving.SendAsync(new PgRequest().Header('Q', 100_000));
            await leaving.SendAsync(new byte[50_000]);
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.NotEqual(server, await next.ServerAsync());
        Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM t")).Scalar);
        await Eventually.EqualsAsync("one server is left", 1L, () => postgres.CountServersAsync(database));
    });

    /// <summary>As PostgreSQL has it: what was asked before Terminate is done.</summary>
    [Theory]
    [InlineData("transaction", false)]
    [InlineData("session", false)]
    [InlineData("statement", false)]
    [InlineData("transaction", true)]
    [InlineData("session", true)]
    public Task WhatIsAskedBeforeGoodbyeIsDone(string mode, bool extended) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        int server;
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.QueryAsync("CREATE TABLE t (line text)");
            server = await leaving.ServerAsync();
            const string Insert = "INSERT INTO t SELECT 'done' FROM pg_sleep(0.3)";
            PgRequest request = extended ? new PgRequest().Parse("", Insert).Bind("", "").Execute().Sync() : new PgRequest().Query(Insert);
            await leaving.SendAsync(request.Terminate());
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("done", (await next.QueryAsync("SELECT line FROM t")).Scalar);
        Assert.Equal(server, await next.ServerAsync());
    });

    /// <summary>But a transaction that was not committed is not, however polite the goodbye.</summary>
    [Fact]
    public Task GoodbyeInATransactionRollsBack() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        int server;
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.QueryAsync("CREATE TABLE t (line text)");
            server = await leaving.ServerAsync();
            await leaving.SendAsync(new PgRequest().Query("BEGIN").Query("INSERT INTO t VALUES ('not done')").Terminate());
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM t")).Scalar);
        Assert.Equal(server, await next.ServerAsync());
    });

    /// <summary>Who waits gets the place after server_cleanup_timeout, with another server.</summary>
    [Fact]
    public Task AQueryThatCannotBeCancelledCostsTheServer() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        int server;
        long start;
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            server = await leaving.ServerAsync();
            await leaving.SendAsync(new PgRequest().Query("""
                DO $$
                DECLARE ends timestamptz := clock_timestamp() + interval '20 s';
                BEGIN
                    WHILE clock_timestamp() < ends LOOP
                        BEGIN
                            PERFORM pg_sleep(1);
                        EXCEPTION WHEN query_canceled THEN
                            NULL;
                        END;
                    END LOOP;
                END $$
                """));
            await Eventually.EqualsAsync("it sleeps where nothing wakes it", "PgSleep", () => postgres.ScalarAsync<string>(PostgresCluster.Superuser,
                $"SELECT coalesce(max(wait_event), '') FROM pg_stat_activity WHERE pid = {server}"));
            start = Stopwatch.GetTimestamp();
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.NotEqual(server, await next.ServerAsync());
        TimeSpan waited = Stopwatch.GetElapsedTime(start);
        Assert.InRange(waited.TotalSeconds, 0.9, 15);
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"SELECT pg_terminate_backend({server})");
    }, static ini => ini.Settings["server_cleanup_timeout"] = "1");

    /// <summary>A cancel may arrive between two requests, where PostgreSQL ignores it; then the next one must not run to its end.</summary>
    [Fact]
    public Task ACancelThatHitsNothingIsRepeated() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire witness = await pooler.LoginAsync(database);
        int server = await witness.ServerAsync();
        for (int round = 0; round < 50; round++)
        {
            using (PgWire leaving = await pooler.LoginAsync(database))
                await leaving.SendAsync(new PgRequest().Query("BEGIN").Query("SELECT 1").Query("SELECT pg_sleep(60)").Query("SELECT pg_sleep(60)"));
            Assert.Equal(server, await witness.ServerAsync());
        }
    });

    /// <summary>Clean-ups go on beside the others' work, and none is forgotten.</summary>
    [Fact]
    public async Task ManyLeaveAtOnce()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 5);
        using PgWire witness = await pooler.LoginAsync(database);
        await witness.QueryAsync("CREATE TABLE t (line text)");
        for (int round = 0; round < 10; round++)
        {
            PgWire[] leaving = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => pooler.LoginAsync(database)));
            for (int i = 0; i < leaving.Length; i++)
            {
                PgRequest request = (i % 4) switch
                {
                    0 => new PgRequest().Query("BEGIN").Query("INSERT INTO t VALUES ('left')"),
                    1 => new PgRequest().Query("BEGIN").Query("SELECT pg_sleep(30)"),
                    2 => new PgRequest().Query("COPY t FROM STDIN").CopyData("left\n"u8.ToArray()),
                    _ => new PgRequest().Parse("", "INSERT INTO t VALUES ('left')").Bind("", "").Execute().Flush(),
                };
                await leaving[i].SendAsync(request);
            }

            foreach (PgWire wire in leaving)
                wire.Dispose();
            Assert.Equal("0", (await witness.QueryAsync("SELECT count(*) FROM t")).Scalar);
        }

        await Eventually.EqualsAsync("no server is at work", (0, 0), async () =>
        {
            PoolerProcess.PoolCounts counts = await pooler.PoolCountsAsync(database);
            return (counts.ServersActive, counts.ClientsWaiting);
        });
        await Eventually.EqualsAsync("every server is idle", 0L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend' AND state <> 'idle'"));
    }

    private async Task BringToAsync(string point, PgWire wire, string database)
    {
        const string Rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000) /* many */";
        PgRequest insert = new PgRequest().Parse("", "INSERT INTO t VALUES ('left')").Bind("", "").Execute();
        switch (point)
        {
            case "idle in a transaction":
                await wire.QueryAsync("BEGIN");
                Assert.Equal('T', (await wire.QueryAsync("INSERT INTO t VALUES ('left')")).TransactionStatus);
                break;
            case "a query runs":
                await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* left */"));
                await postgres.RunsAsync(database, "left");
                break;
            case "a query runs in a transaction":
                await wire.QueryAsync("BEGIN; INSERT INTO t VALUES ('left')");
                await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* left */"));
                await postgres.RunsAsync(database, "pg_sleep");
                break;
            case "a batch without Sync":
                await wire.SendAsync(insert);
                break;
            case "a batch without Sync, flushed":
                await wire.SendAsync(insert.Flush());
                foreach (char type in "12C")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                break;
            case "a batch behind a running query":
                await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* left */").Parse("", "INSERT INTO t VALUES ('left')").Bind("", "").Execute());
                await postgres.RunsAsync(database, "left");
                break;
            case "an error in a batch without Sync":
                await wire.SendAsync(new PgRequest().Parse("", "no such statement").Bind("", "").Execute().Flush());
                Assert.Equal('E', (await wire.ReadAsync())!.Value.Type);
                await wire.SendAsync(insert);
                break;
            case "COPY IN":
                await wire.SendAsync(new PgRequest().Query("COPY t FROM STDIN"));
                Assert.Equal('G', (await wire.ReadAsync())!.Value.Type);
                await wire.SendAsync(new PgRequest().CopyData("left\n"u8.ToArray()));
                break;
            case "COPY IN in the extended protocol":
                await wire.SendAsync(new PgRequest().Parse("", "COPY t FROM STDIN").Bind("", "").Execute().Flush());
                foreach (char type in "12G")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                await wire.SendAsync(new PgRequest().CopyData("left\n"u8.ToArray()));
                break;
            case "COPY IN in the extended protocol, with Sync":
                await wire.SendAsync(new PgRequest().Parse("", "COPY t FROM STDIN").Bind("", "").Execute().Sync());
                foreach (char type in "12G")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                await wire.SendAsync(new PgRequest().CopyData("left\n"u8.ToArray()));
                break;
            case "COPY OUT half read":
                await wire.SendAsync(new PgRequest().Query($"COPY ({Rows}) TO STDOUT"));
                foreach (char type in "Hdd")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                break;
            case "COPY OUT in the extended protocol half read":
                await wire.SendAsync(new PgRequest().Parse("", $"COPY ({Rows}) TO STDOUT").Bind("", "").Execute().Sync());
                foreach (char type in "12Hdd")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                break;
            case "rows half read":
                await wire.SendAsync(new PgRequest().Query(Rows));
                foreach (char type in "TDD")
                    Assert.Equal(type, (await wire.ReadAsync())!.Value.Type);
                break;
            case "a suspended portal":
                await wire.SendAsync(new PgRequest().Query("BEGIN").Parse("", Rows).Bind("", "").Execute("", 3).Sync());
                Assert.Equal('T', (await wire.ReadReplyAsync()).TransactionStatus);
                Assert.Equal("12DDDsZ", (await wire.ReadReplyAsync()).Types);
                break;
            case "an error in a transaction":
                await wire.QueryAsync("BEGIN; INSERT INTO t VALUES ('left')");
                Assert.Equal('E', (await wire.QueryAsync("SELECT 1/0")).TransactionStatus);
                break;
            case "pipelined queries":
                await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* left */").Query("SELECT 2").Query("SELECT 3"));
                await postgres.RunsAsync(database, "left");
                break;
            case "pipelined queries that all take long":
                await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* left */").Query("SELECT pg_sleep(60)").Query("SELECT pg_sleep(60)"));
                await postgres.RunsAsync(database, "left");
                break;
            case "pipelined queries in a transaction":
                await wire.SendAsync(new PgRequest().Query("BEGIN").Query("SELECT pg_sleep(60) /* left */").Query("INSERT INTO t VALUES ('left')").Query("SELECT 1"));
                await postgres.RunsAsync(database, "left");
                break;
            default:
                throw new ArgumentException(point);
        }
    }

    private async Task WithOneServerAsync(string mode, Func<PoolerProcess, string, Task> test, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 1, adjust);
        try
        {
            await test(pooler, database);
        }
        catch (EndOfStreamException fault)
        {
            throw new InvalidOperationException($"{fault.Message}\n{pooler.Log}", fault);
        }
    }
}
