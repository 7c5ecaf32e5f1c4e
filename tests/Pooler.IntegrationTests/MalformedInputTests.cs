using System.Buffers;
using System.Buffers.Binary;

namespace Pooler.IntegrationTests;

/// <summary>Bytes no client should send: the sender is closed, nobody else notices, and nothing grows.</summary>
public sealed class MalformedInputTests(PostgresCluster postgres)
{
    private static readonly byte[] UserParameter = [.. "user\0app\0"u8];

    /// <summary>What comes first on a connection; the pooler has to close it.</summary>
    public static readonly TheoryData<string, byte[]> FirstBytes = new()
    {
        { "length 0", LengthAndCode(0, PgRequest.Protocol30) },
        { "length 3", LengthAndCode(3, PgRequest.Protocol30) },
        { "length 4", LengthAndCode(4, PgRequest.Protocol30) },
        { "length 7", LengthAndCode(7, PgRequest.Protocol30) },
        { "length 2^31-1", LengthAndCode(int.MaxValue, PgRequest.Protocol30) },
        { "length -1", LengthAndCode(-1, PgRequest.Protocol30) },
        { "length -2^31", LengthAndCode(int.MinValue, PgRequest.Protocol30) },
        { "no terminator", [.. LengthAndCode(8 + 9, PgRequest.Protocol30), .. UserParameter] },
        { "a key without a value", [.. LengthAndCode(8 + 9 + 9, PgRequest.Protocol30), .. UserParameter, .. "database\0"u8] },
        { "a value that does not end", [.. LengthAndCode(8 + 9 + 13, PgRequest.Protocol30), .. UserParameter, .. "database\0endl"u8] },
        { "no parameter", [.. LengthAndCode(9, PgRequest.Protocol30), 0] },
        { "no terminator at all", LengthAndCode(8, PgRequest.Protocol30) },
        { "an unknown code", [.. LengthAndCode(8, 0x7fffffff)] },
        { "a query before the startup", new PgRequest().Query("SELECT 1").ToArray() },
        { "protocol 2.0", PgRequest.Startup(PgRequest.Protocol20, ("user", "app")) },
        { "protocol 1.0", PgRequest.Startup(65536, ("user", "app")) },
        { "protocol 4.0", PgRequest.Startup(4 << 16, ("user", "app"), ("database", "nowhere")) },
        { "HTTP", [.. "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"u8] },
        { "a very long user", PgRequest.Startup(("user", new string('u', 9000)), ("database", "nowhere")) },
        { "a very long database", PgRequest.Startup(("user", "app"), ("database", new string('d', 9000))) },
        { "SSLRequest with bytes behind it", [.. LengthAndCode(8, PgRequest.SslCode), .. new PgRequest().Query("SELECT 1").ToArray()] },
        { "a cancel without a key", LengthAndCode(8, PgRequest.CancelCode) },
        { "a cancel with half a key", [.. LengthAndCode(12, PgRequest.CancelCode), 0, 0, 0, 1] },
        { "a cancel of nobody", PgRequest.Cancel(1, 2) },
    };

    /// <summary>What comes after the login; the pooler has to close the connection, or to answer an error and go on as PostgreSQL does.</summary>
    public static readonly TheoryData<string, byte[]> BytesAfterLogin = new()
    {
        { "an unknown type", new PgRequest().Message('@', static _ => { }).ToArray() },
        { "type 0", new PgRequest().Message('\0', static _ => { }).ToArray() },
        { "a server's message", new PgRequest().Message('Z', static body => PgRequest.WriteByte(body, (byte)'I')).ToArray() },
        { "a password nobody asked for", new PgRequest().Password("secret").ToArray() },
        { "length 0", new PgRequest().Header('Q', 0).ToArray() },
        { "length 3", new PgRequest().Header('Q', 3).ToArray() },
        { "length -1", new PgRequest().Header('Q', -1).ToArray() },
        { "length -2^31", new PgRequest().Header('Q', int.MinValue).ToArray() },
        { "a second startup", PgRequest.Startup(("user", "app")) },
    };

    [Theory, MemberData(nameof(FirstBytes))]
    public Task BeforeTheLogin(string what, byte[] bytes) => WithWitnessAsync(async (pooler, _) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(bytes);
        // The one answer that is a byte and no message.
        if (await wire.PeekByteAsync() is 'N' && what.StartsWith("SSLRequest", StringComparison.Ordinal))
            await wire.ReadByteAsync();
        await AssertClosedAsync(wire);
    });

    [Theory, MemberData(nameof(BytesAfterLogin))]
    public Task AfterTheLogin(string what, byte[] bytes) => WithWitnessAsync(async (pooler, database) =>
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer && what == "type 0", "PgBouncer takes it for a startup message and waits");
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(bytes);
        await AssertClosedAsync(wire);
    });

    [Fact]
    public Task AQueryInsteadOfThePassword() => WithWitnessAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.ScramUser), ("database", database)));
        Assert.Equal('R', (await wire.ReadAsync())?.Type);
        await wire.SendAsync(new PgRequest().Query("SELECT 'not logged in'"));
        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.DoesNotContain(messages, static message => message.Type is 'D' or 'T' or 'Z');
    }, authType: "scram-sha-256");

    [Theory]
    [InlineData("SCRAM-SHA-256", "")]
    [InlineData("SCRAM-SHA-256", "n,,n=,r=")]
    [InlineData("SCRAM-SHA-256", "p=tls-unique,,n=,r=abcdefgh")]
    [InlineData("SCRAM-SHA-256", "n,,n=,r=abc\u0001def")]
    [InlineData("SCRAM-SHA-256", "n,,m=x,n=,r=abcdefgh")]
    [InlineData("SCRAM-SHA-1", "n,,n=,r=abcdefgh")]
    [InlineData("", "n,,n=,r=abcdefgh")]
    public Task ABadFirstSaslMessage(string mechanism, string first) => WithWitnessAsync(async (pooler, database) =>
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer && first.EndsWith("r=", StringComparison.Ordinal), "PgBouncer takes an empty nonce");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.ScramUser), ("database", database)));
        Assert.Equal('R', (await wire.ReadAsync())?.Type);
        await wire.SendAsync(new PgRequest().Message('p', body =>
        {
            PgRequest.WriteText(body, mechanism);
            PgRequest.WriteInt32(body, first.Length);
            body.Write(System.Text.Encoding.UTF8.GetBytes(first));
        }));
        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.DoesNotContain(messages, static message => message.Type == 'Z');
        Assert.Equal('E', messages[^1].Type);
    }, authType: "scram-sha-256");

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    public Task ABadLengthInTheFirstSaslMessage(int length) => WithWitnessAsync(async (pooler, database) =>
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer 1.18 waits for the rest, and ends at -1");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.ScramUser), ("database", database)));
        Assert.Equal('R', (await wire.ReadAsync())?.Type);
        await wire.SendAsync(new PgRequest().Message('p', body =>
        {
            PgRequest.WriteText(body, "SCRAM-SHA-256");
            PgRequest.WriteInt32(body, length);
            body.Write("n,,n=,r=abcdefgh"u8);
        }));
        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.DoesNotContain(messages, static message => message.Type == 'Z');
    }, authType: "scram-sha-256");

    [Fact]
    public Task AMessageOf2GigabytesIsNotWaitedForInMemory() => WithWitnessAsync(async (pooler, database) =>
    {
        long before = pooler.ResidentKilobytes;
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Header('Q', int.MaxValue));
        byte[] part = new byte[1 << 20];
        part.AsSpan().Fill((byte)' ');
        try
        {
            for (int i = 0; i < 64; i++)
                await wire.SendAsync(part);
        }
        catch (System.Net.Sockets.SocketException)
        {
            // Closing at once is an answer too.
        }

        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, 32 * 1024);
    });

    [Fact]
    public Task EveryByteAloneIsAsGoodAsAllAtOnce() => WithWitnessAsync(async (pooler, database) =>
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer wants a startup message in one piece");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        foreach (byte value in PgRequest.Startup(("user", PostgresCluster.User), ("database", database)))
            await wire.SendAsync(new[] { value });
        await wire.ReadReplyAsync();
        foreach (byte value in new PgRequest().Parse("", "SELECT $1::text").Bind("", "", "slow").Execute().Sync().Query("SELECT 'then'").ToArray())
            await wire.SendAsync(new[] { value });

        PgReply first = await wire.ReadReplyAsync();
        Assert.Equal("12DCZ", first.Types);
        Assert.Equal("slow", first.Scalar);
        Assert.Equal("then", (await wire.ReadReplyAsync()).Scalar);
    });

    private static async Task AssertClosedAsync(PgWire wire)
    {
        List<PgMessage> messages = await wire.ReadToEndAsync();
        // AuthenticationOk may come first: an unknown database is told of only to who has logged in.
        Assert.All(messages, static message => Assert.True(message.Type == 'R' || (message.Type == 'E' && message.SqlState.Length == 5), message.ToString()));
    }

    /// <summary>Runs a test while a second client is there, which has to go on working, with a server that was not exchanged.</summary>
    private async Task WithWitnessAsync(Func<PoolerProcess, string, Task> test, string authType = "trust")
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["auth_type"] = authType);
        await using var witness = new Npgsql.NpgsqlConnection(pooler.NpgsqlString(database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword));
        await witness.OpenAsync();
        int process = await AskAsync(witness);

        await test(pooler, database);

        Assert.Equal(process, await AskAsync(witness));

        static async Task<int> AskAsync(Npgsql.NpgsqlConnection connection)
        {
            await using var command = new Npgsql.NpgsqlCommand("SELECT pg_backend_pid()", connection);
            return (int)(await command.ExecuteScalarAsync())!;
        }
    }

    private static byte[] LengthAndCode(int length, int code)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt32BigEndian(bytes, length);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(4), code);
        return bytes;
    }
}
