namespace Pooler.IntegrationTests;

/// <summary>A client that goes away at a bad moment costs the others nothing: with a pool of one server they would notice.</summary>
public sealed class DisconnectTests(PostgresCluster postgres)
{
    public static readonly TheoryData<string> Modes = ["session", "transaction", "statement"];

    [Theory, MemberData(nameof(Modes))]
    public Task InMidQuery(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.SendAsync(new PgRequest().Query("SELECT pg_sleep(2) /* leaving */"));
            await Eventually.EqualsAsync("the query runs", 1L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
                $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%leaving%'"));
        }
    });

    [Theory]
    [InlineData("session")]
    [InlineData("transaction")]
    public async Task InATransaction(string mode)
    {
        await WithOneServerAsync(mode, async (pooler, database) =>
        {
            using (PgWire leaving = await pooler.LoginAsync(database))
            {
                await leaving.QueryAsync("CREATE TABLE left_behind ()");
                await leaving.QueryAsync("BEGIN");
                PgReply reply = await leaving.QueryAsync("DROP TABLE left_behind");
                Assert.Equal('T', reply.TransactionStatus);
            }

            using PgWire next = await pooler.LoginAsync(database);
            Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM left_behind")).Scalar);
        });
    }

    [Theory, MemberData(nameof(Modes))]
    public Task InTheMiddleOfAMessage(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        byte[] request = new PgRequest().Query("SELECT 'never whole'").ToArray();
        byte[] extended = new PgRequest().Parse("", "SELECT $1::text").Bind("", "", "value").Execute().Sync().ToArray();
        foreach (byte[] bytes in (byte[][])[request, extended])
        {
            for (int cut = 1; cut < bytes.Length; cut += 3)
            {
                using PgWire leaving = await pooler.LoginAsync(database);
                await leaving.SendAsync(bytes.AsMemory(0, cut));
            }
        }
    });

    [Theory, MemberData(nameof(Modes))]
    public Task InTheMiddleOfACopyIn(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        using (PgWire leaving = await pooler.LoginAsync(database))
        {
            await leaving.QueryAsync("CREATE TABLE copied (line text)");
            await leaving.SendAsync(new PgRequest().Query("COPY copied FROM STDIN"));
            Assert.Equal('G', (await leaving.ReadAsync())?.Type);
            await leaving.SendAsync(new PgRequest().CopyData("one\n"u8.ToArray()).Header('d', 100_000));
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM copied")).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task BeforeTheReplyIsRead(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        for (int i = 0; i < 5; i++)
        {
            using PgWire leaving = await pooler.LoginAsync(database);
            await leaving.SendAsync(new PgRequest().Query("SELECT repeat('x', 10000) FROM generate_series(1, 2000)"));
            Assert.Equal('T', (await leaving.ReadAsync())?.Type);
        }
    });

    [Fact]
    public Task WhileWaitingForAServer() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        var waiting = new List<PgWire>();
        for (int i = 0; i < 20; i++)
        {
            PgWire wire = await pooler.LoginAsync(database);
            await wire.SendAsync(new PgRequest().Query($"SELECT {i}"));
            waiting.Add(wire);
        }

        // Every second one leaves; the others are served once the server is free.
        for (int i = 0; i < 20; i += 2)
            waiting[i].Dispose();
        await holder.QueryAsync("COMMIT");
        for (int i = 1; i < 20; i += 2)
        {
            Assert.Equal($"{i}", (await waiting[i].ReadReplyAsync()).Scalar);
            waiting[i].Dispose();
        }
    });

    [Fact]
    public Task TheServerGoesWhileItIsIdle() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        for (int i = 0; i < 5; i++)
        {
            await wire.QueryAsync("SELECT 1");
            await postgres.ExecuteAsync(PostgresCluster.Superuser, $"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'");
            await Eventually.EqualsAsync("the server is gone", 0L, () => postgres.CountServersAsync(database));
        }

        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task TheServerGoesInMidQuery(string mode) => WithOneServerAsync(mode, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* ended */"));
        await Eventually.EqualsAsync("the query is ended", 1L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser, $"""
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = '{database}' AND wait_event = 'PgSleep' AND query LIKE '%ended%'
            """)); // Not before it sleeps: a SELECT that has not begun to answer is run again elsewhere.

        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.Contains(messages, static message => message.Type == 'E' && message.Fields()['S'] == "FATAL");
    });

    private async Task WithOneServerAsync(string mode, Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 1);

        await test(pooler, database);

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("served", (await next.QueryAsync("SELECT 'served'")).Scalar);
        await Eventually.EqualsAsync("one server is left, and no more", 1L, () => postgres.CountServersAsync(database));
    }
}
