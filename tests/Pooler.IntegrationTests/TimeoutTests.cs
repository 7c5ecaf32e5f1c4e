using System.Diagnostics;

namespace Pooler.IntegrationTests;

/// <summary>What ends a client, and what it is told; the next one must find everything in order.</summary>
public sealed class TimeoutTests(PostgresCluster postgres)
{
    [Fact]
    public Task WaitingForAServer() => WithPoolerAsync(static ini => ini.Settings["query_wait_timeout"] = "0.5", async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        long start = Stopwatch.GetTimestamp();
        await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
        await waiting.AssertFatalAsync("query_wait_timeout");
        Assert.True(Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(0.45));
        await pooler.WaitersAreAsync(0);
        Assert.Equal('T', (await holder.QueryAsync("SELECT 1")).TransactionStatus);
    });

    [Theory]
    [InlineData("database")]
    [InlineData("user")]
    public Task WaitingForAServerAsOneEntrySays(string where) => WithPoolerAsync(ini =>
    {
        if (where == "database")
            ini.Databases[ini.Databases.Keys.Single()] += " query_wait_timeout=0.3";
        else
            ini.UserSettings[PostgresCluster.User] = "query_wait_timeout=0.3";
    }, async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
        await waiting.AssertFatalAsync("query_wait_timeout");
    });

    [Fact]
    public Task AWaitingClientIsToldOnce() => WithPoolerAsync(static ini => ini.Settings["query_wait_notify"] = "1", async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        await waiting.SendAsync(new PgRequest().Query("SELECT 'served'"));
        PgMessage notice = (await waiting.ReadAsync())!.Value;
        Assert.Equal('N', notice.Type);
        Assert.Equal("No server connection available in postgres backend, client being queued", notice.Fields()['M']);
        Assert.Equal("NOTICE", notice.Fields()['S']);

        await holder.QueryAsync("COMMIT");
        PgReply reply = await waiting.ReadReplyAsync();
        Assert.Equal("TDCZ", reply.Types);
        Assert.Equal("served", reply.Scalar);
    });

    [Theory]
    [InlineData("transaction", false)]
    [InlineData("session", false)]
    [InlineData("transaction", true)]
    public Task AQueryThatRunsTooLong(string mode, bool inTransaction) => WithPoolerAsync(ini =>
    {
        ini.Settings["pool_mode"] = mode;
        ini.Settings["query_timeout"] = "0.7";
    }, async (pooler, database) =>
    {
        using (PgWire slow = await pooler.LoginAsync(database))
        {
            if (inTransaction)
                await slow.QueryAsync("BEGIN");
            // Several quick ones do not add up.
            for (int i = 0; i < 5; i++)
                Assert.Null((await slow.QueryAsync("SELECT pg_sleep(0.2)")).Error);
            await slow.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* too long */"));
            if (inTransaction)
                await slow.AssertFatalAsync("query timeout");
            else
                await slow.AssertFatalAsync("query timeout (the outcome of the request is unknown)", "08007"); // What pg_sleep does nobody knows here.
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%too long%' AND state = 'active' AND pid <> pg_backend_pid()")).Scalar);
    });

    [Fact]
    public Task AQueryThatWaitsTooLongForAServer() => WithPoolerAsync(static ini => ini.UserSettings[PostgresCluster.User] = "query_timeout=0.5", async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
        await waiting.AssertFatalAsync("query_timeout");
        Assert.Equal('T', (await holder.QueryAsync("SELECT 1")).TransactionStatus);
    });

    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public Task ATransactionThatDoesNothing(string mode) => WithPoolerAsync(ini =>
    {
        ini.Settings["pool_mode"] = mode;
        ini.Settings["default_pool_size"] = "2";
        ini.Settings["idle_transaction_timeout"] = "0.5";
    }, async (pooler, database) =>
    {
        using PgWire idle = await pooler.LoginAsync(database);
        await idle.QueryAsync("CREATE TABLE t ()");
        using (PgWire forgotten = await pooler.LoginAsync(database))
        {
            await forgotten.QueryAsync("BEGIN; INSERT INTO t DEFAULT VALUES");
            // What takes longer is no idleness.
            Assert.Equal('T', (await forgotten.QueryAsync("SELECT pg_sleep(0.8)")).TransactionStatus);
            await forgotten.AssertFatalAsync("idle transaction timeout");
        }

        await Eventually.EqualsAsync("no transaction is open", 0L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state <> 'idle'"));
        // The one that is idle outside a transaction is left alone.
        Assert.Equal("0", (await idle.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public Task ATransactionThatLastsTooLong(string mode) => WithPoolerAsync(ini =>
    {
        ini.Settings["pool_mode"] = mode;
        ini.Settings["transaction_timeout"] = "0.8";
    }, async (pooler, database) =>
    {
        using (PgWire busy = await pooler.LoginAsync(database))
        {
            await busy.QueryAsync("BEGIN");
            EndOfStreamException closed = await Assert.ThrowsAsync<EndOfStreamException>(async () =>
            {
                for (int i = 0; i < 100; i++)
                    await busy.QueryAsync("SELECT pg_sleep(0.1)");
            });
            Assert.Contains("FATAL 08P01 transaction timeout", closed.Message, StringComparison.Ordinal);
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal('I', (await next.QueryAsync("SELECT 1")).TransactionStatus);
    });

    /// <summary>The time before BEGIN does not count, however long the server was held.</summary>
    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public Task ATransactionBeginsWithItsFirstQuery(string mode) => WithPoolerAsync(ini =>
    {
        ini.Settings["pool_mode"] = mode;
        ini.Settings["transaction_timeout"] = "1";
    }, async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        await Task.Delay(1200);
        await client.QueryAsync("BEGIN");
        Assert.Equal('T', (await client.QueryAsync("SELECT pg_sleep(0.3)")).TransactionStatus);
        Assert.Equal('I', (await client.QueryAsync("COMMIT")).TransactionStatus);
    });

    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public Task AClientThatIsIdle(string mode) => WithPoolerAsync(ini =>
    {
        ini.Settings["pool_mode"] = mode;
        ini.Settings["client_idle_timeout"] = "0.6";
    }, async (pooler, database) =>
    {
        using (PgWire idle = await pooler.LoginAsync(database))
        {
            for (int i = 0; i < 4; i++)
                Assert.Null((await idle.QueryAsync("SELECT pg_sleep(0.3)")).Error);
            Assert.Null((await idle.QueryAsync("SELECT pg_sleep(0.9)")).Error);
            await idle.AssertFatalAsync("client_idle_timeout");
        }

        using (PgWire silent = await pooler.LoginAsync(database))
        {
            await silent.AssertFatalAsync("client_idle_timeout");
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("1", (await next.QueryAsync("SELECT 1")).Scalar);
    });

    public static readonly TheoryData<string, byte[]> HalfLogins = new()
    {
        { "nothing", [] },
        { "half a startup packet", PgRequest.Startup(("user", PostgresCluster.User), ("database", "nowhere"))[..20] },
        { "no password", PgRequest.Startup(("user", PostgresCluster.Md5User), ("database", "nowhere")) },
        { "half a password", [.. PgRequest.Startup(("user", PostgresCluster.Md5User), ("database", "nowhere")), .. new PgRequest().Header('p', 40).ToArray()] },
    };

    [Theory, MemberData(nameof(HalfLogins))]
    public Task ALoginThatGetsNowhere(string _, byte[] bytes) => WithPoolerAsync(static ini =>
    {
        ini.Settings["auth_type"] = "md5";
        ini.Settings["client_login_timeout"] = "0.5";
        ini.Settings["tcp_defer_accept"] = "0";
    }, async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(bytes);
        await wire.AssertFatalAsync("client_login_timeout");
    });

    [Fact]
    public async Task ALoginThatWaitsForADeadServer()
    {
        await using var server = new FakeServer(static connection => connection.ReadStartupAsync().ContinueWith(static _ => Task.Delay(Timeout.Infinite)).Unwrap());
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, static ini => ini.Settings["client_login_timeout"] = "0.5");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", "d")));
        await wire.AssertFatalAsync("client_login_timeout (server down)");
    }

    /// <summary>It holds the server, takes nothing and does not leave.</summary>
    [Fact]
    public Task AClientThatStopsReading() => WithPoolerAsync(static ini => ini.Settings["client_write_timeout"] = "0.7", async (pooler, database) =>
    {
        using PgWire stuck = await pooler.LoginAsync(database);
        int server = await stuck.ServerAsync();
        await stuck.SendAsync(new PgRequest().Query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000) /* endless */"));
        Assert.Equal('T', (await stuck.ReadAsync())!.Value.Type);
        await postgres.RunsAsync(database, "endless");

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal(server, await next.ServerAsync());
        Assert.DoesNotContain(await stuck.ReadToEndAsync(), static message => message.Type is 'C' or 'Z');
    });

    [Fact]
    public Task AClientThatReadsSlowlyIsNoClientThatStopsReading() => WithPoolerAsync(static ini => ini.Settings["client_write_timeout"] = "1", async (pooler, database) =>
    {
        using PgWire slow = await pooler.LoginAsync(database);
        await slow.SendAsync(new PgRequest().Query("SELECT repeat('x', 1000000) FROM generate_series(1, 30)"));
        Assert.Equal('T', (await slow.ReadAsync())!.Value.Type);
        for (int i = 0; i < 30; i++)
        {
            Assert.Equal('D', (await slow.ReadHeaderAsync())!.Value.Type);
            Assert.True(await slow.SkipAsync(1000006));
            await Task.Delay(60);
        }

        Assert.Equal("CZ", (await slow.ReadReplyAsync()).Types);
    });

    private static async Task<PoolerProcess> StartBeforeAsync(int port, Action<PoolerIni> adjust)
    {
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={port}";
        adjust(ini);
        return await PoolerProcess.StartAsync(ini);
    }

    private async Task WithPoolerAsync(Action<PoolerIni> adjust, Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: adjust);
        await test(pooler, database);
    }
}
