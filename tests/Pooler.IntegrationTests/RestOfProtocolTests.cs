using System.Buffers.Binary;

namespace Pooler.IntegrationTests;

/// <summary>What drivers seldom use: fast-path calls and large objects, cursors, portals read in parts, several statements in one text, errors of all fields.</summary>
public sealed class RestOfProtocolTests(PostgresCluster postgres)
{
    private const int Int4Add = 177, Int4Divide = 154;
    private const int ReadAndWrite = 0x60000, Megabyte = 1 << 20;

    public static readonly TheoryData<string> Modes = ["transaction", "session"];

    [Theory, MemberData(nameof(Modes))]
    public Task AFunctionIsCalledByNumber(string mode) => WithOneServerAsync(mode, async (wire, _, _) =>
    {
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(Int32(5), await CallAsync(wire, Int4Add, Int32(2), Int32(3)));
            await wire.SendAsync(new PgRequest().FunctionCall(Int4Divide, Int32(1), Int32(0)));
            PgReply failed = await wire.ReadReplyAsync();
            Assert.Equal("EZ", failed.Types);
            Assert.Equal("22012", failed.Error!.Value.SqlState);
            await wire.SendAsync(new PgRequest().FunctionCall(1));
            Assert.Equal("EZ", (await wire.ReadReplyAsync()).Types);
        }

        // In one go with others, and in a transaction that fails.
        await wire.SendAsync(new PgRequest().Query("SELECT 1").FunctionCall(Int4Add, Int32(1), Int32(1)).Parse("", "SELECT 2").Bind("", "").Execute().Sync()
            .FunctionCall(Int4Divide, Int32(1), Int32(0)).Query("SELECT 3"));
        foreach (string types in (string[])["TDCZ", "VZ", "12DCZ", "EZ", "TDCZ"])
            Assert.Equal(types, (await wire.ReadReplyAsync()).Types);
        await wire.QueryAsync("BEGIN");
        await wire.SendAsync(new PgRequest().FunctionCall(Int4Divide, Int32(1), Int32(0)));
        Assert.Equal('E', (await wire.ReadReplyAsync()).TransactionStatus);
        await wire.SendAsync(new PgRequest().FunctionCall(Int4Add, Int32(1), Int32(1)));
        Assert.Equal("25P02", (await wire.ReadReplyAsync()).Error!.Value.SqlState);
        await wire.QueryAsync("ROLLBACK");
    });

    /// <summary>As lo_open, lo_write, lo_read of libpq do it, in pieces longer than any buffer of ours.</summary>
    [Theory, MemberData(nameof(Modes))]
    public Task ALargeObjectIsWrittenAndRead(string mode) => WithOneServerAsync(mode, async (wire, pooler, database) =>
    {
        var functions = new Dictionary<string, int>();
        foreach (string?[] row in (await wire.QueryAsync("SELECT proname, oid FROM pg_proc WHERE proname IN ('lo_creat', 'lo_open', 'lowrite', 'loread', 'lo_lseek', 'lo_close')")).Rows)
            functions[row[0]!] = int.Parse(row[1]!);
        byte[] data = new byte[Megabyte];
        new Random(1).NextBytes(data);

        await wire.QueryAsync("BEGIN");
        byte[] number = await CallAsync(wire, functions["lo_creat"], Int32(ReadAndWrite));
        byte[] descriptor = await CallAsync(wire, functions["lo_open"], number, Int32(ReadAndWrite));
        Assert.Equal(Int32(Megabyte), await CallAsync(wire, functions["lowrite"], descriptor, data));
        Assert.Equal(Int32(3), await CallAsync(wire, functions["lo_lseek"], descriptor, Int32(3), Int32(0)));
        Assert.Equal(data[3..], await CallAsync(wire, functions["loread"], descriptor, Int32(Megabyte)));
        Assert.Equal(Int32(0), await CallAsync(wire, functions["lo_close"], descriptor));
        await wire.QueryAsync("COMMIT");

        string expected = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(data));
        Assert.Equal($"\\x{expected}", (await wire.QueryAsync($"SELECT sha256(lo_get({BinaryPrimitives.ReadInt32BigEndian(number)}))")).Scalar);

        // A descriptor is of one transaction: the next, of whomever, has none.
        await wire.SendAsync(new PgRequest().FunctionCall(functions["loread"], descriptor, Int32(1)));
        Assert.Equal("EZ", (await wire.ReadReplyAsync()).Types);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task SeveralStatementsInOneText(string mode) => WithOneServerAsync(mode, async (wire, _, _) =>
    {
        await AssertQueryAsync(wire, "SELECT 1; ; SELECT 2 WHERE false; CREATE TABLE t (i int); INSERT INTO t VALUES (1); SELECT count(*) FROM t", "TDCTCCCTDCZ", 'I');
        await AssertQueryAsync(wire, "INSERT INTO t VALUES (2); SELECT 1/0; INSERT INTO t VALUES (3)", "CEZ", 'I');
        await AssertQueryAsync(wire, "INSERT INTO t VALUES (4); BEGIN; INSERT INTO t VALUES (5)", "CCCZ", 'T');
        await AssertQueryAsync(wire, "ROLLBACK; SELECT count(*) FROM t; BEGIN", "CTDCCZ", 'T');
        await AssertQueryAsync(wire, "SELECT nothing; COMMIT", "EZ", 'E');
        await AssertQueryAsync(wire, "COMMIT; SELECT 1", "CTDCZ", 'I');
        await AssertQueryAsync(wire, "COMMIT", "NCZ", 'I');
        Assert.Equal("1", (await wire.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    [Theory, MemberData(nameof(Modes))]
    public Task ACursorIsReadInParts(string mode) => WithOneServerAsync(mode, async (wire, _, _) =>
    {
        await wire.QueryAsync("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT generate_series(1, 5)");
        await AssertQueryAsync(wire, "FETCH 2 FROM c", "TDDCZ", 'T');
        await AssertQueryAsync(wire, "MOVE 1 FROM c", "CZ", 'T');
        Assert.Equal("4", (await wire.QueryAsync("FETCH c")).Scalar);
        Assert.Equal("3", (await wire.QueryAsync("FETCH PRIOR FROM c")).Scalar);

        // By the extended protocol too: a cursor of SQL is a portal.
        await wire.SendAsync(new PgRequest().Describe('P', "c").Execute("c", 1).Close('P', "c").Sync());
        Assert.Equal("TDs3Z", (await wire.ReadReplyAsync()).Types);
        await AssertQueryAsync(wire, "FETCH c", "EZ", 'E');
        await AssertQueryAsync(wire, "ROLLBACK", "CZ", 'I');
    });

    /// <summary>In a transaction a portal outlives the Sync, and no longer than the transaction.</summary>
    [Theory, MemberData(nameof(Modes))]
    public Task ASuspendedPortal(string mode) => WithOneServerAsync(mode, async (wire, _, _) =>
    {
        for (int round = 0; round < 2; round++)
        {
            await wire.QueryAsync("BEGIN");
            await AssertRequestAsync(wire, new PgRequest().Parse("", "SELECT generate_series(1, 5)").Bind("p", "").Execute("p", 2).Sync(), "12DDsZ");
            await AssertRequestAsync(wire, new PgRequest().Execute("p", 2).Sync(), "DDsZ");
            await AssertRequestAsync(wire, new PgRequest().Execute("p", 2).Execute("p", 2).Sync(), "DCCZ");
            await wire.QueryAsync("COMMIT");
            await wire.SendAsync(new PgRequest().Execute("p", 2).Sync());
            PgReply gone = await wire.ReadReplyAsync();
            Assert.Equal("EZ", gone.Types);
            Assert.Equal("34000", gone.Error!.Value.SqlState);
        }

        // Outside a transaction it ends with the Sync.
        await AssertRequestAsync(wire, new PgRequest().Parse("", "SELECT generate_series(1, 5)").Bind("p", "").Execute("p", 2).Sync(), "12DDsZ");
        await AssertRequestAsync(wire, new PgRequest().Execute("p", 2).Sync(), "EZ");
    });

    /// <summary>Every field of an error is as the server sent it, whoever stands between.</summary>
    [Theory]
    [InlineData("SELECT 1/0")]
    [InlineData("SELECT nothing\nFROM nowhere")]
    [InlineData("INSERT INTO strict VALUES (NULL)")]
    [InlineData("INSERT INTO strict VALUES (-1)")]
    [InlineData("DO $$ BEGIN RAISE EXCEPTION 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'P4242', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 't', TABLE = 'b', SCHEMA = 's'; END $$")]
    [InlineData("DO $$ BEGIN RAISE EXCEPTION 'VFATAL' USING ERRCODE = '57P01', DETAIL = 'C57P01'; END $$")]
    [InlineData("SELECT repeat('x', 100000)::int")]
    public Task AnErrorHasAllItsFields(string sql) => WithOneServerAsync("transaction", async (wire, _, database) =>
    {
        await wire.QueryAsync("CREATE TABLE strict (i int NOT NULL CHECK (i > 0))");
        using PgWire direct = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await direct.LoginAsync(database, PostgresCluster.User);
        byte[] expected = (await direct.QueryAsync(sql)).Error!.Value.Body;
        for (int i = 0; i < 2; i++)
        {
            PgReply reply = await wire.QueryAsync(sql);
            Assert.Equal("EZ", reply.Types);
            Assert.Equal(expected, reply.Error!.Value.Body);
        }
    });

    /// <summary>An error that only sounds like the server's goodbye: the statement has run, and must not run again.</summary>
    [Fact]
    public Task AnErrorThatLooksLikeAGoodbyeIsNone() => WithOneServerAsync("transaction", async (wire, _, _) =>
    {
        await wire.QueryAsync("CREATE SEQUENCE calls");
        await wire.QueryAsync(
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('calls'); RAISE EXCEPTION 'VFATAL' USING ERRCODE = '57P01'; END $$");
        PgReply reply = await wire.QueryAsync("SELECT f()");
        Assert.Equal("57P01", reply.Error!.Value.SqlState);
        Assert.Equal("1", (await wire.QueryAsync("SELECT last_value FROM calls")).Scalar);
    });

    /// <summary>SELECT … INTO is silent until it has run: its server's goodbye may come when half of it has, and not all of that is undone.</summary>
    [Fact]
    public async Task AGoodbyeInTheMidstOfASelectIntoDoesNotRunItTwice()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.QueryAsync("CREATE SEQUENCE calls");
        using PgWire direct = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await direct.LoginAsync(database, PostgresCluster.Superuser);
        await wire.SendAsync(new PgRequest().Query("SELECT nextval('calls') AS n, pg_sleep(2)::text AS slept INTO kept"));
        await Eventually.EqualsAsync("it runs, and is ended", "t", async () =>
            (await direct.QueryAsync($"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = 'PgSleep'")).Rows.FirstOrDefault()?[0]);
        await wire.AssertFatalAsync("terminating connection due to administrator command (the outcome of the request is unknown)", "08007");
        Assert.Equal("1", (await direct.QueryAsync("SELECT last_value FROM calls")).Scalar);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("database")]
    public async Task AReplicationConnectionIsRefused(string value)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database), ("replication", value)));
        await wire.AssertFatalAsync("replication connections are not supported", "0A000");
        Assert.Equal(0, await postgres.CountServersAsync(database));
    }

    private static byte[] Int32(int value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    /// <summary>The result of a function; it must have one.</summary>
    private static async Task<byte[]> CallAsync(PgWire wire, int function, params byte[][] values)
    {
        await wire.SendAsync(new PgRequest().FunctionCall(function, values));
        PgReply reply = await wire.ReadReplyAsync();
        Assert.True(reply.Types == "VZ", $"{reply}");
        byte[] body = reply.Messages[0].Body;
        Assert.Equal(body.Length - 4, BinaryPrimitives.ReadInt32BigEndian(body));
        return body[4..];
    }

    private static async Task AssertQueryAsync(PgWire wire, string sql, string types, char status)
    {
        PgReply reply = await wire.QueryAsync(sql);
        Assert.True(types == reply.Types, $"{sql}: expected {types}, got {reply}");
        Assert.Equal(status, reply.TransactionStatus);
    }

    private static async Task AssertRequestAsync(PgWire wire, PgRequest request, string types)
    {
        await wire.SendAsync(request);
        PgReply reply = await wire.ReadReplyAsync();
        Assert.True(types == reply.Types, $"expected {types}, got {reply}");
    }

    /// <summary>One server, of which the test must leave the same one behind, with nothing open on it.</summary>
    private async Task WithOneServerAsync(string mode, Func<PgWire, PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 1);
        int server;
        using (PgWire wire = await pooler.LoginAsync(database))
        {
            server = await wire.ServerAsync();
            await test(wire, pooler, database);
            Assert.Equal(server, await wire.ServerAsync());
        }

        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal(server, await next.ServerAsync());
        Assert.Equal('I', (await next.QueryAsync("SELECT 1")).TransactionStatus);
    }
}
