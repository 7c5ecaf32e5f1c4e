using System.Buffers;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>
/// A server that says what no PostgreSQL would: it is closed with its reason in the log, its client is told, and nobody else
/// notices. The next connection to it behaves, so the pool must be as good as new.
/// </summary>
public sealed class HostileServerTests(PostgresCluster postgres)
{
    private const string Bad = "08P01", Unknown = "08007";
    private const long AllowedGrowthKilobytes = 24 * 1024;

    private readonly TaskCompletionSource _isIdle = new();

    /// <summary>How far a hostile server gets before it shows what it is.</summary>
    private enum Stage
    {
        Login,
        Reply,
        Idle,
        Reset,
    }

    /// <summary>Sent in place of the welcome; then what is told of it, in the log and to the client, and its SQLSTATE.</summary>
    public static readonly TheoryData<string, byte[], string, string> AtLogin = new()
    {
        { "an error without fields", Message('E', 0), "server sent an error without a message", "XX000" },
        { "an error without even an end", Message('E'), "impossible length 4 of message 'E'", Bad },
        { "an error of fields that do not end", [.. Message('E', [.. "SFATAL\0C28000\0Mwhat"u8])], "what", "28000" },
        { "length 0", Header('R', 0), "impossible length 0 of message 'R'", Bad },
        { "length 3", Header('R', 3), "impossible length 3 of message 'R'", Bad },
        { "length -1", Header('R', -1), "impossible length -1 of message 'R'", Bad },
        { "length -2^31", Header('R', int.MinValue), "impossible length -2147483648 of message 'R'", Bad },
        { "length 2^31-1", Header('R', int.MaxValue), "impossible length 2147483647 of message 'R'", Bad },
        { "type 0", Message('\0', 1, 2, 3), "unexpected message 0x00", Bad },
        { "a line feed for a type", Message('\n', 1, 2, 3), "unexpected message 0x0A", Bad },
        { "HTTP", [.. "HTTP/1.1 400 Bad Request\r\n\r\n"u8], "of message 'H'", Bad },
        { "ready before authentication", Ready('I'), "unexpected message 'Z' from server before authentication", Bad },
        { "a parameter before authentication", Parameter("server_version\015.0\0"), "unexpected message 'S' from server before authentication", Bad },
        { "a key before authentication", Message('K', 0, 0, 0, 1, 0, 0, 0, 2), "unexpected message 'K' from server before authentication", Bad },
        { "authentication of no kind", Message('R'), "malformed authentication request", Bad },
        { "an MD5 salt of 3 bytes", Message('R', 0, 0, 0, 5, 1, 2, 3), "malformed authentication request", Bad },
        { "mechanisms without an end", Message('R', [0, 0, 0, 10, .. "SCRAM-SHA-256"u8]), "malformed authentication request", Bad },
        { "a SASL step nobody began", Message('R', [0, 0, 0, 11, .. "r=a"u8]), "cannot do SaslContinue", "28000" },
        { "authenticated twice", [.. Ok, .. Ok], "malformed authentication request", Bad },
        { "a password behind the end of authentication", [.. Ok, .. Message('R', 0, 0, 0, 3)], "malformed authentication request", Bad },
        { "a parameter of 1 GB", [.. Ok, .. Header('S', 1 << 30)], "impossible length 1073741824 of message 'S'", Bad },
        { "a parameter without a value", [.. Ok, .. Parameter("client_encoding\0")], "malformed ParameterStatus", Bad },
        { "a parameter without an end", [.. Ok, .. Parameter("client_encoding\0UTF8")], "malformed ParameterStatus", Bad },
        { "a parameter without a name", [.. Ok, .. Parameter("\0UTF8\0")], "malformed ParameterStatus", Bad },
        { "a parameter of three texts", [.. Ok, .. Parameter("client_encoding\0UTF8\0more\0")], "malformed ParameterStatus", Bad },
        { "a parameter without anything", [.. Ok, .. Parameter("")], "of message 'S'", Bad },
        { "parameters without end", [.. Ok, .. Enumerable.Range(0, 1000).SelectMany(static i => Parameter($"name{i}\0value\0"))], "more than 128 parameters", Bad },
        { "a key of 3 bytes", [.. Ok, .. Message('K', 0, 0, 1)], "malformed BackendKeyData", Bad },
        { "a key without a secret", [.. Ok, .. Message('K', 0, 0, 0, 1)], "malformed BackendKeyData", Bad },
        { "a secret of 257 bytes", [.. Ok, .. Message('K', [0, 0, 0, 1, .. new byte[257]])], "malformed BackendKeyData", Bad },
        { "a status that is none", [.. Ok, .. Ready('X')], "malformed ReadyForQuery", Bad },
        { "a status of 0", [.. Ok, .. Ready('\0')], "malformed ReadyForQuery", Bad },
        { "no status", [.. Ok, .. Message('Z')], "of message 'Z'", Bad },
        { "a row", [.. Ok, .. Row], "unexpected message 'D' from server at login", Bad },
        { "COPY both", [.. Ok, .. Message('W', 0, 0, 0)], "unexpected message 'W' from server at login", Bad },
    };

    [Theory, MemberData(nameof(AtLogin))]
    public Task InsteadOfTheWelcome(string _, byte[] bytes, string told, string sqlState) => WithHostAsync(Stage.Login, bytes, async pooler =>
    {
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await client.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        AssertFatal(error, told, sqlState);
        await AssertLoggedAsync(pooler, told);
    });

    /// <summary>Sent as the answer to a query; then the types of what reaches the client before the error, and what it is told.</summary>
    public static readonly TheoryData<string, byte[], string, string, string> AsAReply = new()
    {
        { "length 0", Header('T', 0), "", "impossible length 0 of message 'T'", Unknown },
        { "length 3", Header('C', 3), "", "impossible length 3 of message 'C'", Unknown },
        { "length -1 behind a row", [.. Row, .. Header('D', -1)], "D", "impossible length -1 of message 'D'", Unknown },
        { "length -2^31", Header('D', int.MinValue), "", "impossible length -2147483648 of message 'D'", Unknown },
        { "an error of length -1", Header('E', -1), "", "impossible length -1 of message 'E'", Unknown },
        { "an error without even an end", Message('E'), "", "impossible length 4 of message 'E'", Unknown },
        { "a status that is none", [.. Done, .. Ready('X')], "C", "malformed ReadyForQuery", Unknown },
        { "a status of 0", [.. Done, .. Ready('\0')], "C", "malformed ReadyForQuery", Unknown },
        { "no status", [.. Done, .. Message('Z')], "C", "impossible length 4 of message 'Z'", Unknown },
        { "a status of two letters", [.. Done, .. Message('Z', (byte)'I', (byte)'I')], "C", "impossible length 6 of message 'Z'", Unknown },
        { "a status of 1 GB", [.. Done, .. Header('Z', 1 << 30), .. new byte[100_000]], "C", "impossible length 1073741824 of message 'Z'", Unknown },
        { "a parameter of 1 GB", [.. Header('S', 1 << 30), .. new byte[100_000]], "", "impossible length 1073741824 of message 'S'", Unknown },
        { "a tag of 1 GB", [.. Header('C', 1 << 30), .. new byte[100_000]], "", "impossible length 1073741824 of message 'C'", Unknown },
        { "a parameter without a value", Parameter("client_encoding\0"), "", "malformed ParameterStatus", Unknown },
        { "a parameter without an end", Parameter("client_encoding\0UTF8"), "", "malformed ParameterStatus", Unknown },
        { "a parameter of three texts", Parameter("TimeZone\0UTC\0more\0"), "", "malformed ParameterStatus", Unknown },
        { "type 0", Message('\0', 1, 2, 3), "", "unexpected message 0x00", Unknown },
        { "an escape for a type", [.. Row, .. Message('\u001b')], "D", "unexpected message 0x1B", Unknown },
        { "ready at once", Ready('I'), "", "unexpected message 'Z'", Unknown },
        { "ready twice", [.. Done, .. Ready('I'), .. Ready('I')], "CZ", "unexpected message 'Z'", Bad },
        { "rows behind the end", [.. Done, .. Ready('I'), .. Row], "CZ", "unexpected message 'D'", Bad },
        { "authentication", Ok, "", "unexpected message 'R'", Unknown },
        { "a key", Message('K', 0, 0, 0, 1, 0, 0, 0, 2), "", "unexpected message 'K'", Unknown },
        { "another protocol", Message('v', 0, 3, 0, 0, 0, 0, 0, 0), "", "unexpected message 'v'", Unknown },
        { "COPY both", Message('W', 0, 0, 0), "", "unexpected message 'W'", Unknown },
        { "the answer to a Parse", Message('1'), "", "unexpected message '1'", Unknown },
        { "a client's message", new PgRequest().Query("SELECT 1").ToArray(), "", "unexpected message 'Q'", Unknown },
    };

    [Theory, MemberData(nameof(AsAReply))]
    public Task InAReply(string _, byte[] bytes, string before, string told, string sqlState) => WithHostAsync(Stage.Reply, bytes, async pooler =>
    {
        using PgWire client = await pooler.LoginAsync("d");
        await client.SendAsync(new PgRequest().Query("SELECT 1"));
        List<PgMessage> messages = await client.ReadToEndAsync();
        Assert.Equal(before + "E", new PgReply(messages).Types);
        AssertFatal(messages[^1], told, sqlState);
        await AssertLoggedAsync(pooler, told);
    });

    /// <summary>Sent while no client has the server; then what is told of it, in the log alone.</summary>
    public static readonly TheoryData<string, byte[], string> WhenIdle = new()
    {
        { "a row", Row, "idle server sent 'D'" },
        { "ready again", Ready('I'), "idle server sent 'Z'" },
        { "type 0", Message('\0', 1, 2, 3), "idle server sent 0x00" },
        { "length -1", Header('S', -1), "impossible length -1 of message 'S'" },
        { "a parameter of 1 GB", Header('S', 1 << 30), "impossible length 1073741824 of message 'S'" },
        { "a parameter without a value", Parameter("client_encoding\0"), "malformed ParameterStatus" },
        { "a parameter of three texts", Parameter("TimeZone\0UTC\0more\0"), "malformed ParameterStatus" },
        { "an error without fields", Message('E', 0), "server sent an error without a message" },
        { "an error of 1 GB", Header('E', 1 << 30), "idle server sent 'E'" },
        { "a goodbye", FakeConnection.Error("FATAL", "57P01", "time to go").ToArray(), "time to go" },
    };

    [Theory, MemberData(nameof(WhenIdle))]
    public Task WhileNobodyHasIt(string _, byte[] bytes, string told) => WithHostAsync(Stage.Idle, bytes, async pooler =>
    {
        using PgWire client = await pooler.LoginAsync("d");
        Assert.Equal("CZ", (await client.QueryAsync("SELECT 1")).Types);
        await Eventually.BecomesAsync("the server is free", () => pooler.PoolCountsAsync("d"), static counts => counts.ServersFree == 1);
        _isIdle.SetResult();
        await AssertLoggedAsync(pooler, told);
        Assert.Equal("CZ", (await client.QueryAsync("SELECT 1")).Types);
    });

    /// <summary>In one piece with the welcome: nobody has asked for anything yet.</summary>
    [Theory, MemberData(nameof(WhenIdle))]
    public Task RightBehindTheWelcome(string _, byte[] bytes, string told) => WithHostAsync(Stage.Login, [.. FakeConnection.Welcome().ToArray(), .. bytes], async pooler =>
    {
        using PgWire client = await pooler.LoginAsync("d");
        await AssertLoggedAsync(pooler, told);
        Assert.Equal("CZ", (await client.QueryAsync("SELECT 1")).Types);
    });

    /// <summary>Sent as the answer to the reset behind a client that has left.</summary>
    public static readonly TheoryData<string, byte[], string> AsAResetReply = new()
    {
        { "a status that is none", [.. Done, .. Ready('\n')], "malformed ReadyForQuery" },
        { "no status", [.. Done, .. Message('Z')], "impossible length 4 of message 'Z'" },
        { "length -1", Header('C', -1), "impossible length -1 of message 'C'" },
        { "type 0", Message('\0', 1, 2, 3), "unexpected message 0x00" },
        { "a parameter of 1 GB", [.. Header('S', 1 << 30), .. new byte[100_000]], "impossible length 1073741824 of message 'S'" },
        { "a parameter without a value", Parameter("client_encoding\0"), "malformed ParameterStatus" },
        { "an error without fields", [.. Message('E', 0), .. Ready('I')], "server sent an error without a message" },
        { "rows behind the end", [.. Done, .. Ready('I'), .. Row], "idle server sent 'D'" },
        { "a transaction", [.. Done, .. Ready('T')], "stayed in transaction state 'T'" },
    };

    [Theory, MemberData(nameof(AsAResetReply))]
    public Task InTheReplyToAReset(string _, byte[] bytes, string told) => WithHostAsync(Stage.Reset, bytes, async pooler =>
    {
        using (PgWire leaving = await pooler.LoginAsync("d"))
            Assert.Equal("CZ", (await leaving.QueryAsync("SELECT 1")).Types);
        await AssertLoggedAsync(pooler, told);
        using PgWire client = await pooler.LoginAsync("d");
        Assert.Equal("CZ", (await client.QueryAsync("SELECT 1")).Types);
    }, poolMode: "session");

    /// <summary>Messages that may come at any moment: the server is kept, and its client hears of them what concerns it.</summary>
    [Fact]
    public async Task WhatMayComeAtAnyMomentDoes()
    {
        byte[] asides = [.. Notice("by the way"), .. Parameter("is_superuser\0off\0"), .. Message('A', [0, 0, 0, 9, .. "news\0text\0"u8]), .. Parameter("TimeZone\0UTC\0")];
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync([.. Notice("before"), .. FakeConnection.Welcome().ToArray(), .. asides]);
            while (await connection.ReadAsync() is { Type: 'Q' })
                await connection.SendAsync([.. asides, .. Row, .. asides, .. Done, .. asides, .. Ready('I'), .. asides]);
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction");
        using PgWire client = await pooler.LoginAsync("d");
        for (int i = 0; i < 3; i++)
        {
            await client.SendAsync(new PgRequest().Query("SELECT 1"));
            string types = "";
            while (!types.EndsWith('Z'))
                types += (await client.ReadAsync())!.Value.Type;
            // What comes behind ReadyForQuery may reach it too, at the front of what it asks next.
            Assert.EndsWith("NSASDNSASCNSASZ", types, StringComparison.Ordinal);
        }

        Assert.Equal(1, server.Accepted);
    }

    /// <summary>A real error may be of any fields, and of no known ones: it reaches the client as it is.</summary>
    public static readonly TheoryData<string, byte[]> Errors = new()
    {
        { "no fields", [0] },
        { "unknown fields", [.. "Zwhat\0\u0001ever\0SERROR\0SERROR\0\0"u8] },
        { "fields that do not end", [.. "SERROR\0C22012\0Mno end"u8] },
        { "bytes that are no UTF-8", [(byte)'M', 0xff, 0xfe, 0xc0, 0, 0] },
        { "a message that looks like a field", [.. "SERROR\0VERROR\0C57P01\0MVFATAL\0\0"u8] },
        { "70,000 bytes", [.. "SERROR\0VERROR\0C22P02\0M"u8, .. Enumerable.Repeat((byte)'x', 70_000), 0, 0] },
    };

    [Theory, MemberData(nameof(Errors))]
    public async Task AnErrorOfAnyFieldsIsPassedOnAsItIs(string _, byte[] body)
    {
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Welcome());
            while (await connection.ReadAsync() is { Type: 'Q' })
                await connection.SendAsync([.. Message('E', body), .. Ready('I')]);
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction");
        using PgWire client = await pooler.LoginAsync("d");
        for (int i = 0; i < 3; i++)
        {
            PgReply reply = await client.QueryAsync("SELECT 1");
            Assert.Equal("EZ", reply.Types);
            Assert.Equal(body, reply.Messages[0].Body);
        }

        Assert.Equal(1, server.Accepted);
    }

    /// <summary>It ends its side, and goes on listening.</summary>
    [Theory]
    [InlineData("at once")]
    [InlineData("in the welcome")]
    [InlineData("idle")]
    [InlineData("instead of a reply")]
    [InlineData("behind a row")]
    [InlineData("in a header")]
    [InlineData("in a tag")]
    [InlineData("in a row")]
    public async Task HalfClosed(string when)
    {
        await using var server = new FakeServer(async connection =>
        {
            // One that hangs up without a word is asked once more, for protocol 3.0.
            if (connection.Number > (when == "at once" ? 2 : 1))
            {
                await BehaveAsync(connection);
                return;
            }

            await connection.ReadStartupAsync();
            byte[] welcome = when switch { "at once" => [], "in the welcome" => FakeConnection.Welcome().ToArray()[..50], _ => FakeConnection.Welcome().ToArray() };
            await connection.SendAsync(welcome);
            if (welcome.Length > 50 && when != "idle")
            {
                await connection.ReadAsync();
                await connection.SendAsync(when switch
                {
                    "behind a row" => Row,
                    "in a header" => [.. Row, .. Done[..3]],
                    "in a tag" => [.. Row, .. Done[..^2]],
                    "in a row" => [.. Row, .. Header('D', 1000), 1, 2, 3],
                    _ => [],
                });
            }

            connection.HalfClose();
            await connection.ReadToEndAsync();
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction");
        using (PgWire client = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            PgReply welcome = await client.StartAsync(("user", PostgresCluster.User), ("database", "d"));
            if (when is "at once" or "in the welcome")
                AssertFatal(welcome.Messages[^1], "server conn crashed?", "08006");
            else if (when != "idle")
            {
                await client.SendAsync(new PgRequest().Query("SELECT 1"));
                List<PgMessage> messages = await client.ReadToEndAsync();
                if (when != "in a row")
                    AssertFatal(messages[^1], "the outcome of the request is unknown", Unknown);
                Assert.Equal(when switch { "instead of a reply" => "E", "in a row" => "D", _ => "DE" }, new PgReply(messages).Types);
            }
        }

        await AssertLoggedAsync(pooler, "server conn crashed?");
        await AssertGoodAsync(pooler);
    }

    /// <summary>Lengths that promise gigabytes, and a server that keeps the promise for a while.</summary>
    [Theory]
    [InlineData('D', int.MaxValue)]
    [InlineData('N', 1 << 30)]
    [InlineData('E', 1 << 30)]
    public async Task AMessageOfAGigabyteIsNotKept(char type, int length)
    {
        var stop = new TaskCompletionSource();
        await using var server = new FakeServer(async connection =>
        {
            if (connection.Number > 1)
            {
                await BehaveAsync(connection);
                return;
            }

            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Welcome());
            await connection.ReadAsync();
            await connection.SendAsync(Header(type, length));
            byte[] part = new byte[1 << 20];
            for (int i = 0; i < 64; i++)
                await connection.SendAsync(part);
            await stop.Task;
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction");
        using (PgWire client = await pooler.LoginAsync("d"))
        {
            long before = pooler.ResidentKilobytes;
            await client.SendAsync(new PgRequest().Query("SELECT 1"));
            Assert.Equal((type, length - 4), await client.ReadHeaderAsync());
            Assert.True(await client.SkipAsync(64 << 20, 0));
            Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
            stop.SetResult();
            // Its half message cannot be followed by an error of ours.
            Assert.Empty(await client.ReadToEndAsync());
        }

        await AssertLoggedAsync(pooler, "server conn crashed?");
        await AssertGoodAsync(pooler);
    }

    /// <summary>Bytes without end, before anybody has proved anything.</summary>
    [Fact]
    public async Task NoticesWithoutEndAtLoginHaveADeadline()
    {
        byte[] flood = [.. Enumerable.Range(0, 1000).SelectMany(static _ => Notice("now"))];
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            while (true)
                await connection.SendAsync(flood);
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction", static ini => ini.Settings["server_connect_timeout"] = "1");
        long before = pooler.ResidentKilobytes;
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply reply = await client.StartAsync(("user", PostgresCluster.User), ("database", "d"));
        AssertFatal(reply.Messages[^1], "connect timeout", "08001");
        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
        await AssertLoggedAsync(pooler, "connect timeout");
    }

    [Fact]
    public async Task AServerThatNeverAnswersAQuery()
    {
        await using var server = new FakeServer(async connection =>
        {
            if (connection.Number == 1)
            {
                await connection.ReadStartupAsync();
                await connection.SendAsync(FakeConnection.Welcome());
                await connection.ReadToEndAsync();
            }
            else
            {
                await BehaveAsync(connection);
            }
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, "transaction", static ini =>
        {
            ini.Settings["query_timeout"] = "0.5";
            ini.Settings["server_cleanup_timeout"] = "0.5";
        });
        using (PgWire client = await pooler.LoginAsync("d"))
        {
            await client.SendAsync(new PgRequest().Query("SELECT 1"));
            await client.AssertFatalAsync("query timeout (the outcome of the request is unknown)", "08007"); // Without routing nobody knows it for a read.
        }

        await AssertLoggedAsync(pooler, "server_cleanup_timeout");
        await AssertGoodAsync(pooler);
    }

    private static byte[] Ok => Message('R', 0, 0, 0, 0);

    private static byte[] Row => Message('D', 0, 1, 0, 0, 0, 1, (byte)'1');

    private static byte[] Done => Message('C', [.. "SELECT 1\0"u8]);

    private static byte[] Ready(char status) => Message('Z', (byte)status);

    private static byte[] Parameter(string body) => Message('S', Encoding.ASCII.GetBytes(body));

    private static byte[] Notice(string text) => Message('N', Encoding.ASCII.GetBytes($"SNOTICE\0VNOTICE\0C00000\0M{text}\0\0"));

    private static byte[] Message(char type, params byte[] body) => new PgRequest().Message(type, target => target.Write(body)).ToArray();

    private static byte[] Header(char type, int length) => new PgRequest().Header(type, length).ToArray();

    private static void AssertFatal(PgMessage error, string told, string sqlState)
    {
        Assert.Equal('E', error.Type);
        Assert.Equal(("FATAL", sqlState), (error.Fields()['S'], error.SqlState));
        Assert.Contains(told, error.Fields()['M'], StringComparison.Ordinal);
    }

    /// <summary>One line of the log, and no more, says this of a server. (The log has a thread of its own.)</summary>
    private static async Task AssertLoggedAsync(PoolerProcess pooler, string told)
    {
        string[] Lines() => [.. pooler.LogLines.Where(line => line.Contains(" S-", StringComparison.Ordinal) && line.Contains(told, StringComparison.Ordinal))];
        await Eventually.BecomesAsync($"'{told}' is logged of a server", () => Task.FromResult(Lines()), static lines => lines.Length > 0);
        Assert.Single(Lines());
    }

    /// <summary>As a server should: every query has its answer, every connection its end.</summary>
    private static async Task BehaveAsync(FakeConnection connection)
    {
        byte[] startup = await connection.ReadStartupAsync();
        if (System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(startup) == PgRequest.CancelCode)
            return;
        await connection.SendAsync(FakeConnection.Welcome());
        while (await connection.ReadAsync() is { Type: 'Q' })
            await connection.SendAsync([.. Done, .. Ready('I')]);
    }

    /// <summary>The pool is as good as new: a client is served, and when it has gone nothing is left of anybody.</summary>
    private static async Task AssertGoodAsync(PoolerProcess pooler)
    {
        using (PgWire next = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await next.LoginAsync("d", PostgresCluster.User);
            Assert.Equal("CZ", (await next.QueryAsync("SELECT 1")).Types);
        }

        await Eventually.BecomesAsync("nobody is left, and one server is free", () => pooler.PoolCountsAsync("d"),
            static counts => counts is { NobodyIsHere: true, ServersFree: 1, ServersLogin: 0 });
    }

    private static async Task<PoolerProcess> StartBeforeAsync(int port, string poolMode, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={port} pool_size=1";
        ini.Settings["pool_mode"] = poolMode;
        ini.Settings["server_login_retry"] = "0";
        adjust?.Invoke(ini);
        return await PoolerProcess.StartAsync(ini);
    }

    /// <summary>
    /// The first connection to the host says the bytes at that stage, all others behave. Beside it a client of a real server
    /// is in the middle of a transaction, and must stay there.
    /// </summary>
    private async Task WithHostAsync(Stage stage, byte[] bytes, Func<PoolerProcess, Task> test, string poolMode = "transaction")
    {
        string database = await postgres.CreateDatabaseAsync();
        await using var server = new FakeServer(connection => connection.Number == 1 ? MisbehaveAsync(connection) : BehaveAsync(connection));
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, poolMode, ini => ini.Databases[database] = $"host=127.0.0.1 port={postgres.Port}");
        using PgWire witness = await pooler.LoginAsync(database);
        await witness.QueryAsync("BEGIN");
        int process = await witness.ServerAsync();
        long before = pooler.ResidentKilobytes;

        await test(pooler);

        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
        await AssertGoodAsync(pooler);
        Assert.Equal(process, await witness.ServerAsync());
        Assert.Equal('T', (await witness.QueryAsync("SELECT 1")).TransactionStatus);

        async Task MisbehaveAsync(FakeConnection connection)
        {
            await connection.ReadStartupAsync();
            if (stage != Stage.Login)
                await connection.SendAsync(FakeConnection.Welcome());
            if (stage is Stage.Idle or Stage.Reset)
            {
                await connection.ReadAsync();
                await connection.SendAsync([.. Done, .. Ready('I')]);
            }

            if (stage == Stage.Idle)
                await _isIdle.Task;
            if (stage is Stage.Reply or Stage.Reset)
                await connection.ReadAsync();
            await connection.SendAsync(bytes);
            await connection.ReadToEndAsync();
        }
    }
}
