using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>COPY, pipelines and what a server says unasked, message by message as PostgreSQL would answer them.</summary>
public sealed class CopyAndPipelineTests(PostgresCluster postgres)
{
    private static readonly byte[] Line = [.. "line\n"u8];

    public static readonly TheoryData<string> Modes = ["transaction", "session"];

    [Theory, MemberData(nameof(Modes))]
    public Task CopyIn(string mode) => WithTableAsync(mode, async (wire, _, _) =>
    {
        await wire.SendAsync(new PgRequest().Query("COPY t FROM STDIN"));
        Assert.Equal('G', (await wire.ReadAsync())!.Value.Type);
        await wire.SendAsync(new PgRequest().CopyData(Line).CopyData(Array.Empty<byte>()).CopyData("li"u8.ToArray()).CopyData("ne\n"u8.ToArray()).CopyDone());
        await AssertRepliesAsync(wire, "CZ");
        Assert.Equal("2", (await wire.QueryAsync("SELECT count(*) FROM t WHERE line = 'line'")).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task CopyInAllAtOnce(string mode) => WithTableAsync(mode, async (wire, _, _) =>
    {
        for (int round = 1; round <= 20; round++)
        {
            await wire.SendAsync(new PgRequest().Query("COPY t FROM STDIN").CopyData(Line).CopyDone().Query("SELECT count(*) FROM t"));
            await AssertRepliesAsync(wire, "GCZ");
            Assert.Equal($"{round}", (await wire.ReadReplyAsync()).Scalar);
        }
    });

    /// <summary>libpq sends Sync right behind Execute, where PostgreSQL ignores it, and once more behind CopyDone.</summary>
    [Theory]
    [InlineData("transaction", false)]
    [InlineData("transaction", true)]
    [InlineData("session", false)]
    [InlineData("session", true)]
    public Task CopyInExtended(string mode, bool syncBehindExecute) => WithTableAsync(mode, async (wire, _, _) =>
    {
        PgRequest start = new PgRequest().Parse("", "COPY t FROM STDIN").Bind("", "").Execute();
        await wire.SendAsync(syncBehindExecute ? start.Sync() : start.Flush());
        await AssertNextAsync(wire, "12G");
        await wire.SendAsync(new PgRequest().CopyData(Line).CopyDone().Sync());
        await AssertRepliesAsync(wire, "CZ");
        Assert.Equal("1", (await wire.QueryAsync("SELECT count(*) FROM t")).Scalar);

        start = new PgRequest().Parse("", "COPY t FROM STDIN").Bind("", "").Execute();
        await wire.SendAsync((syncBehindExecute ? start.Sync() : start).CopyData(Line).CopyDone().Sync().Query("SELECT count(*) FROM t"));
        await AssertRepliesAsync(wire, "12GCZ");
        Assert.Equal("2", (await wire.ReadReplyAsync()).Scalar);
    });

    [Fact]
    public Task TwoCopiesInOneQuery() => WithTableAsync("transaction", async (wire, _, _) =>
    {
        await wire.SendAsync(new PgRequest().Query("COPY t FROM STDIN; SELECT 'between'; COPY t FROM STDIN"));
        await AssertNextAsync(wire, "G");
        await wire.SendAsync(new PgRequest().CopyData(Line).CopyDone());
        await AssertNextAsync(wire, "CTDCG");
        await wire.SendAsync(new PgRequest().CopyData(Line).CopyData(Line).CopyDone());
        await AssertRepliesAsync(wire, "CZ");
        Assert.Equal("3", (await wire.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    [Fact]
    public Task CopyInOfLargeFrames() => WithTableAsync("transaction", async (wire, _, _) =>
    {
        byte[] frame = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(new string('x', 99) + "\n", 10_000)));
        await wire.SendAsync(new PgRequest().Query("COPY t FROM STDIN"));
        await AssertNextAsync(wire, "G");
        for (int i = 0; i < 3; i++)
            await wire.SendAsync(new PgRequest().CopyData(frame));
        await wire.SendAsync(new PgRequest().CopyDone());
        await AssertRepliesAsync(wire, "CZ");
        Assert.Equal("30000", (await wire.QueryAsync("SELECT count(*) FROM t WHERE length(line) = 99")).Scalar);
    });

    /// <summary>The server gives up in the middle; what the client still sends means nothing to anybody.</summary>
    [Theory]
    [InlineData("transaction", false)]
    [InlineData("transaction", true)]
    [InlineData("session", false)]
    public Task AnErrorInTheMiddleOfACopyIn(string mode, bool extended) => WithTableAsync(mode, async (wire, pooler, database) =>
    {
        await wire.QueryAsync("CREATE TABLE n (number int)");
        for (int round = 0; round < 5; round++)
        {
            await wire.SendAsync(extended ? new PgRequest().Parse("", "COPY n FROM STDIN").Bind("", "").Execute().Flush() : new PgRequest().Query("COPY n FROM STDIN"));
            await AssertNextAsync(wire, extended ? "12G" : "G");
            await wire.SendAsync(new PgRequest().CopyData("1\n"u8.ToArray()).CopyData("no number\n"u8.ToArray()));
            PgMessage error = (await wire.ReadAsync())!.Value;
            Assert.Equal("22P02", error.SqlState);
            if (!extended)
                await AssertNextAsync(wire, "Z");

            PgRequest rest = new();
            for (int i = 0; i < 1000; i++)
                rest.CopyData("2\n"u8.ToArray());
            rest.CopyDone();
            await wire.SendAsync(extended ? rest.Sync() : rest);
            if (extended)
                await AssertNextAsync(wire, "Z");
            Assert.Equal("0", (await wire.QueryAsync("SELECT count(*) FROM n")).Scalar);
            if (mode == "transaction")
            {
                using PgWire other = await pooler.LoginAsync(database);
                Assert.Equal("0", (await other.QueryAsync("SELECT count(*) FROM n")).Scalar);
            }
        }
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task CopyFail(bool extended) => WithTableAsync("transaction", async (wire, _, _) =>
    {
        await wire.SendAsync(extended ? new PgRequest().Parse("", "COPY t FROM STDIN").Bind("", "").Execute().Sync() : new PgRequest().Query("COPY t FROM STDIN"));
        await AssertNextAsync(wire, extended ? "12G" : "G");
        await wire.SendAsync(new PgRequest().CopyData(Line).CopyFail("changed my mind"));
        PgMessage error = (await wire.ReadAsync())!.Value;
        Assert.Equal("57014", error.SqlState);
        Assert.Contains("changed my mind", error.Fields()['M'], StringComparison.Ordinal);
        if (extended)
            await wire.SendAsync(new PgRequest().Sync());
        await AssertNextAsync(wire, "Z");
        Assert.Equal("0", (await wire.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task CopyOut(bool extended) => WithTableAsync("transaction", async (wire, _, _) =>
    {
        const string Copy = "COPY (SELECT i FROM generate_series(1, 5) AS i) TO STDOUT";
        await wire.SendAsync(extended ? new PgRequest().Parse("", Copy).Bind("", "").Execute().Sync() : new PgRequest().Query(Copy));
        await AssertRepliesAsync(wire, extended ? "12HdddddcCZ" : "HdddddcCZ");

        const string Failing = "COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) AS i) TO STDOUT";
        await wire.SendAsync(extended ? new PgRequest().Parse("", Failing).Bind("", "").Execute().Sync() : new PgRequest().Query(Failing));
        await AssertRepliesAsync(wire, extended ? "12HddEZ" : "HddEZ");
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    /// <summary>The one server is held by another, so anything that needed one would wait.</summary>
    [Fact]
    public Task StrayCopyFramesNeedNoServer() => WithTableAsync("transaction", async (wire, pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        for (int round = 0; round < 3; round++)
        {
            await wire.SendAsync(new PgRequest().CopyData(Line).CopyDone().CopyFail("nothing").CopyData(new byte[100_000]).Flush().Sync());
            await AssertRepliesAsync(wire, "Z");
        }

        await pooler.WaitersAreAsync(0);
        await holder.QueryAsync("COMMIT");
        await wire.SendAsync(new PgRequest().CopyData(Line).Query("SELECT 1").CopyDone().CopyData(Line).Query("SELECT 2"));
        Assert.Equal("1", (await wire.ReadReplyAsync()).Scalar);
        Assert.Equal("2", (await wire.ReadReplyAsync()).Scalar);
    });

    [Theory]
    [InlineData("transaction", false)]
    [InlineData("session", false)]
    [InlineData("transaction", true)]
    public Task ManySyncs(string mode, bool behindAQuery) => WithTableAsync(mode, async (wire, _, _) =>
    {
        const int Many = 5000;
        var request = new PgRequest();
        if (behindAQuery)
            request.Query("SELECT pg_sleep(0.2)");
        for (int i = 0; i < Many; i++)
            request.Sync();
        await wire.SendAsync(request);
        if (behindAQuery)
            await AssertRepliesAsync(wire, "TDCZ");
        for (int i = 0; i < Many; i++)
            await AssertRepliesAsync(wire, "Z");
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    /// <summary>More than may be outstanding at once, beside another client.</summary>
    [Fact]
    public Task ManyBatchesInOneGo() => WithTableAsync("transaction", async (wire, pooler, database) =>
    {
        const int Many = 20_000;
        var request = new PgRequest();
        for (int i = 0; i < Many; i++)
            request.Parse("", $"SELECT {i}").Bind("", "").Execute().Sync();
        Task sending = wire.SendAsync(request).AsTask();
        Task reading = Task.Run(async () =>
        {
            for (int i = 0; i < Many; i++)
            {
                PgReply reply = await wire.ReadReplyAsync();
                Assert.Equal($"{i}", reply.Scalar);
                Assert.Equal("12DCZ", reply.Types);
            }
        });

        // It takes its turn between the other's batches.
        using PgWire other = await pooler.LoginAsync(database);
        Assert.Equal("other", (await other.QueryAsync("SELECT 'other'")).Scalar);
        await reading;
        await sending;
    });

    [Theory, MemberData(nameof(Modes))]
    public Task AnErrorDropsTheRestOfItsBatchOnly(string mode) => WithTableAsync(mode, async (wire, _, _) =>
    {
        for (int round = 0; round < 3; round++)
        {
            await wire.SendAsync(new PgRequest()
                .Parse("", "INSERT INTO t VALUES ('first')").Bind("", "").Execute().Sync()
                .Parse("", "INSERT INTO t VALUES ('second')").Bind("", "").Execute()
                .Parse("", "SELECT 1 / (SELECT count(*) FROM t WHERE line = 'none')").Bind("", "").Execute()
                .Parse("", "INSERT INTO t VALUES ('third')").Bind("", "").Describe('P', "").Execute().Close('P', "").Flush().Sync()
                .Parse("", "INSERT INTO t VALUES ('fourth')").Bind("", "").Execute().Sync()
                .Parse("", "no statement").Bind("", "").Execute().Sync()
                .Query("SELECT count(*) FROM t"));
            await AssertRepliesAsync(wire, "12CZ");
            await AssertRepliesAsync(wire, "12C12EZ");
            await AssertRepliesAsync(wire, "12CZ");
            await AssertRepliesAsync(wire, "EZ");
            Assert.Equal($"{2 * (round + 1)}", (await wire.ReadReplyAsync()).Scalar);
        }
    });

    [Fact]
    public Task AnErrorDropsEvenAQueryUpToTheSync() => WithTableAsync("transaction", async (wire, _, _) =>
    {
        await wire.SendAsync(new PgRequest().Parse("", "no statement").Query("INSERT INTO t VALUES ('dropped')").Sync().Query("SELECT count(*) FROM t"));
        await AssertRepliesAsync(wire, "EZ");
        Assert.Equal("0", (await wire.ReadReplyAsync()).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task FlushBringsRepliesWithoutSync(string mode) => WithTableAsync(mode, async (wire, pooler, database) =>
    {
        await wire.SendAsync(new PgRequest().Parse("", "SELECT $1::int").Describe('S', "").Flush());
        await AssertNextAsync(wire, "1tT");
        await wire.SendAsync(new PgRequest().Bind("", "", "7").Execute().Flush());
        await AssertNextAsync(wire, "2DC");
        await wire.SendAsync(new PgRequest().Flush().Flush());
        await wire.SendAsync(new PgRequest().Parse("", "INSERT INTO t VALUES ('kept')").Bind("", "").Execute().Flush());
        await AssertNextAsync(wire, "12C");

        // The batch is open: the server is not lent to anybody else.
        PgWire other = await pooler.LoginAsync(database);
        await pooler.SendAndWaitInQueueAsync(other, "SELECT count(*) FROM t");
        await wire.SendAsync(new PgRequest().Sync());
        await AssertRepliesAsync(wire, "Z");
        if (mode == "transaction")
            Assert.Equal("1", (await other.ReadReplyAsync()).Scalar);
        other.Dispose();
    });

    [Fact]
    public Task APortalIsReadInParts() => WithTableAsync("transaction", async (wire, _, _) =>
    {
        await wire.SendAsync(new PgRequest().Parse("", "SELECT generate_series(1, 5)").Bind("p", "").Execute("p", 2).Execute("p", 2).Flush());
        await AssertNextAsync(wire, "12DDsDDs");
        await wire.SendAsync(new PgRequest().Execute("p", 2).Close('P', "p").Sync());
        await AssertRepliesAsync(wire, "DC3Z");
    });

    [Fact]
    public Task NoticesComeWhereTheyArise() => WithTableAsync("transaction", async (wire, pooler, database) =>
    {
        await wire.QueryAsync("CREATE FUNCTION tell(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', i; RETURN i; END $$");
        PgReply reply = await wire.QueryAsync("SELECT tell(i) FROM generate_series(1, 3) AS i");
        Assert.Equal(["row 1", "row 2", "row 3"], reply.Messages.Where(static message => message.Type == 'N').Select(static message => message.Fields()['M']));
        Assert.Equal("TDDDCZ", reply.Types.Replace("N", ""));

        await wire.SendAsync(new PgRequest().Parse("", "DROP TABLE IF EXISTS nothing").Bind("", "").Execute().Sync().Query("SELECT 1"));
        await AssertRepliesAsync(wire, "12NCZ");
        await AssertRepliesAsync(wire, "TDCZ");

        using PgWire other = await pooler.LoginAsync(database);
        await AssertQueryAsync(other, "SELECT 1", "TDCZ");
    });

    [Fact]
    public Task ANotificationReachesTheListenerOfASession() => WithTableAsync("session", async (wire, pooler, database) =>
    {
        await wire.QueryAsync("LISTEN news");
        using PgWire other = await pooler.LoginAsync(database);
        for (int i = 0; i < 3; i++)
        {
            await other.QueryAsync($"NOTIFY news, 'number {i}'");
            PgMessage notification = (await wire.ReadAsync())!.Value;
            Assert.Equal('A', notification.Type);
            Assert.Equal($"news\0number {i}", Encoding.UTF8.GetString(notification.Body.AsSpan(4)).TrimEnd('\0'));
        }

        await wire.SendAsync(new PgRequest().Query("NOTIFY news, 'own'"));
        await AssertRepliesAsync(wire, "CAZ");
    }, poolSize: 2);

    [Theory]
    [InlineData(16_000)]
    [InlineData(16_384)]
    [InlineData(20_000)]
    [InlineData(70_000)]
    [InlineData(1_000_000)]
    public Task LongRowsAndStatements(int length) => WithTableAsync("transaction", async (wire, _, _) =>
    {
        string text = string.Concat(Enumerable.Range(0, length / 8).Select(static i => $"{i:x8}"));
        await wire.SendAsync(new PgRequest().Query($"SELECT '{text}', 1").Query("SELECT 2"));
        Assert.Equal(text, (await wire.ReadReplyAsync()).Rows.Single()[0]);
        Assert.Equal("2", (await wire.ReadReplyAsync()).Scalar);

        await wire.SendAsync(new PgRequest().Parse("", "SELECT $1::text").Bind("", "", text).Execute().Sync().Parse("", $"SELECT '{text}'").Bind("", "").Execute().Sync());
        Assert.Equal(text, (await wire.ReadReplyAsync()).Scalar);
        Assert.Equal(text, (await wire.ReadReplyAsync()).Scalar);

        PgReply error = await wire.QueryAsync($"SELECT '{text}'::int");
        Assert.Equal("EZ", error.Types);
    });

    [Fact]
    public Task AParameterStatusInMidStream() => WithTableAsync("transaction", async (wire, pooler, database) =>
    {
        PgReply reply = await wire.QueryAsync("SELECT 1; SET application_name TO 'midway'; SELECT 2");
        Assert.Equal("TDCCTDCZ", reply.Types.Replace("S", ""));
        Assert.Equal("application_name\0midway", Assert.Single(reply.Messages, static message => message.Type == 'S').Text());
        using PgWire other = await pooler.LoginAsync(database);
        Assert.Equal("", (await other.QueryAsync("SHOW application_name")).Scalar);
        Assert.Equal("midway", (await wire.QueryAsync("SHOW application_name")).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task AnEmptyQuery(string mode) => WithTableAsync(mode, async (wire, _, _) =>
    {
        await AssertQueryAsync(wire, "", "IZ");
        await AssertQueryAsync(wire, " ;; -- nothing", "IZ");
        await wire.SendAsync(new PgRequest().Parse("", "").Bind("", "").Describe('P', "").Execute().Sync().Query("SELECT 1"));
        await AssertRepliesAsync(wire, "12nIZ");
        await AssertRepliesAsync(wire, "TDCZ");
    });

    [Fact]
    public Task AStatementOfItsOwnNameIsUsedAndClosed() => WithTableAsync("transaction", async (wire, _, _) =>
    {
        await wire.SendAsync(new PgRequest().Parse("s", "SELECT $1::int + 1").Describe('S', "s").Sync());
        await AssertRepliesAsync(wire, "1tTZ");
        for (int i = 0; i < 3; i++)
        {
            await wire.SendAsync(new PgRequest().Bind("", "s", $"{i}").Execute().Sync());
            Assert.Equal($"{i + 1}", (await wire.ReadReplyAsync()).Scalar);
        }

        await wire.SendAsync(new PgRequest().Close('S', "s").Close('S', "never there").Sync());
        await AssertRepliesAsync(wire, "33Z");
    });

    private static async Task AssertQueryAsync(PgWire wire, string sql, string types)
    {
        await wire.SendAsync(new PgRequest().Query(sql));
        await AssertRepliesAsync(wire, types);
    }

    /// <summary>One whole reply, by the types of its messages.</summary>
    private static async Task AssertRepliesAsync(PgWire wire, string types)
    {
        PgReply reply = await wire.ReadReplyAsync();
        Assert.True(types == reply.Types, $"expected {types}, got {reply}");
    }

    /// <summary>The next messages, by their types; more may follow.</summary>
    private static async Task AssertNextAsync(PgWire wire, string types)
    {
        var messages = new List<PgMessage>();
        foreach (char _ in types)
            messages.Add(await wire.ReadAsync() ?? throw new EndOfStreamException($"closed after: {new PgReply(messages)}"));
        Assert.True(types == new PgReply(messages).Types, $"expected {types}, got {new PgReply(messages)}");
    }

    /// <summary>One server, of which the test must leave the same one behind, with nothing open on it.</summary>
    private async Task WithTableAsync(string mode, Func<PgWire, PoolerProcess, string, Task> test, int poolSize = 1)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize);
        int server;
        using (PgWire wire = await pooler.LoginAsync(database))
        {
            await wire.QueryAsync("CREATE TABLE t (line text)");
            server = await wire.ServerAsync();
            await test(wire, pooler, database);
            Assert.Equal(server, await wire.ServerAsync());
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal('I', (await next.QueryAsync("SELECT 1")).TransactionStatus);
    }
}
