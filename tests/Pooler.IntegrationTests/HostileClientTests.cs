using System.Buffers;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>
/// A client that sends what no driver would: it is told so and closed, one line in the log says why, and neither its server
/// nor any other client is touched.
/// </summary>
public sealed class HostileClientTests(PostgresCluster postgres)
{
    private const long AllowedGrowthKilobytes = 24 * 1024;

    /// <summary>In place of a startup packet; then what is told of it.</summary>
    public static readonly TheoryData<string, byte[], string> AtStartup = new()
    {
        { "NUL only", [0, 0, 0, 20, .. new byte[16]], "unsupported frontend protocol 0.0" },
        { "user twice", PgRequest.Startup(("user", "app"), ("database", "d"), ("user", "admin")), "parameter \"user\" given twice" },
        { "database twice", PgRequest.Startup(("user", "app"), ("database", "d"), ("database", "e")), "parameter \"database\" given twice" },
        { "no user", PgRequest.Startup(("database", "d")), "no PostgreSQL user name" },
        { "10,001 bytes", PgRequest.Startup(("user", "app"), ("x", new string('x', 9990))), "invalid length of startup packet" },
        { "thousands of parameters", PgRequest.Startup([("user", "app"), .. Enumerable.Range(0, 1600).Select(static i => ($"{i}", ""))]), "unsupported startup parameter" },
        { "bytes that are no UTF-8", [0, 0, 0, 17, 0, 3, 0, 0, .. "user\0"u8, 0xff, 0xfe, 0, 0], "invalid byte sequence" },
        { "bytes behind the terminator", [.. PgRequest.Startup(("user", "app"))[..3], 19, .. PgRequest.Startup(("user", "app"))[4..], 1], "expected terminator as last byte" },
        { "SSLRequest twice", [0, 0, 0, 8, 4, 210, 22, 47, 0, 0, 0, 8, 4, 210, 22, 47], "unsupported frontend protocol 1234.5679" },
        { "GSSENCRequest twice", [0, 0, 0, 8, 4, 210, 22, 48, 0, 0, 0, 8, 4, 210, 22, 48], "unsupported frontend protocol 1234.5680" },
        { "an unknown parameter", PgRequest.Startup(("user", "app"), ("session_authorization", "postgres")), "unsupported startup parameter: session_authorization" },
        { "a name to forge the log with", PgRequest.Startup(("user", "app"), ("x\n2026-01-01 00:00:00.000 UTC [1] LOG \u001b[2J", "y")), "unsupported startup parameter" },
    };

    [Theory, MemberData(nameof(AtStartup))]
    public Task InsteadOfAStartup(string _, byte[] bytes, string told) => WithWitnessAsync(async (pooler, _) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(bytes);
        if (bytes[4] == 4)
            Assert.Equal('N', await wire.ReadByteAsync());
        PgMessage error = await wire.ReadFatalAsync();
        Assert.Equal("08P01", error.SqlState);
        Assert.Contains(told, error.Fields()['M'], StringComparison.Ordinal);
        await AssertLoggedAsync(pooler, told);
        Assert.DoesNotContain(pooler.LogLines, static line => line.StartsWith("2026-01-01", StringComparison.Ordinal) || line.Contains('\u001b'));
    });

    /// <summary>Behind the challenge of SCRAM, in place of the proof.</summary>
    public static readonly TheoryData<string, byte[]> Proofs = new()
    {
        { "nothing", [] },
        { "no proof", [.. "c=biws,r=NONCE"u8] },
        { "an empty proof", [.. "c=biws,r=NONCE,p="u8] },
        { "a short proof", [.. "c=biws,r=NONCE,p=AAAA"u8] },
        { "a proof of zeros", [.. "c=biws,r=NONCE,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="u8] },
        { "a long proof", Encoding.ASCII.GetBytes("c=biws,r=NONCE,p=" + new string('A', 9000)) },
        { "a nonce of its own", [.. "c=biws,r=abcdefgh,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="u8] },
        { "another binding", [.. "c=eSws,r=NONCE,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="u8] },
        { "an unknown attribute", [.. "c=biws,r=NONCE,m=what,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="u8] },
        { "bytes of no text", [0, 1, 2, 0xff] },
    };

    [Theory, MemberData(nameof(Proofs))]
    public Task InsteadOfTheProof(string _, byte[] final) => WithWitnessAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.ScramUser), ("database", database)));
        Assert.Equal('R', (await wire.ReadAsync())?.Type);
        await wire.SendAsync(new PgRequest().Message('p', static body =>
        {
            PgRequest.WriteText(body, "SCRAM-SHA-256");
            PgRequest.WriteInt32(body, 16);
            body.Write("n,,n=,r=abcdefgh"u8);
        }));
        string challenge = Encoding.ASCII.GetString((await wire.ReadAsync())!.Value.Body.AsSpan(4));
        string nonce = challenge[(challenge.IndexOf("r=", StringComparison.Ordinal) + 2)..challenge.IndexOf(',')];
        byte[] proof = Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(final).Replace("NONCE", nonce));
        await wire.SendAsync(new PgRequest().Message('p', body => body.Write(proof)));
        await wire.AssertFatalAsync("SASL authentication failed", "28P01");
        await AssertLoggedAsync(pooler, "SASL authentication failed");
    }, authType: "scram-sha-256");

    /// <summary>Behind the login, or in a transaction; then what is told of it.</summary>
    public static readonly TheoryData<string, byte[], string> Requests = new()
    {
        { "type 0", Message('\0'), "type 0x00, length 4" },
        { "an escape for a type", Message('\u001b'), "type 0x1B, length 4" },
        { "a second startup", PgRequest.Startup(("user", "app")), "type 0x00" },
        { "SSLRequest", [0, 0, 0, 8, 4, 210, 22, 47], "type 0x00" },
        { "length 3", Header('Q', 3), "type 'Q', length 3" },
        { "length -1", Header('P', -1), "type 'P', length -1" },
        { "length -2^31", Header('d', int.MinValue), "type 'd', length -2147483648" },
        { "a goodbye of length -1", Header('X', -1), "type 'X', length -1" },
        { "a query of nothing", Message('Q'), "type 'Q', length 4" },
        { "a query of 2 GB", [.. Header('Q', int.MaxValue), .. new byte[100_000]], "type 'Q', length 2147483647" },
        { "a Bind of 1 GB and a byte", [.. Header('B', 0x3fffffff), .. new byte[100_000]], "type 'B', length 1073741823" },
        { "COPY data of 2 GB", [.. Header('d', int.MaxValue), .. new byte[100_000]], "type 'd', length 2147483647" },
        { "a Sync with a body", Message('S', 1, 2, 3), "type 'S', length 7" },
        { "a Sync of 1 GB", [.. Header('S', 1 << 30), .. new byte[100_000]], "type 'S', length 1073741824" },
        { "a Flush with a body", Message('H', 1), "type 'H', length 5" },
        { "an Execute of 20 kB", Message('E', new byte[20_000]), "type 'E', length 20004" },
        { "a Describe of 1 GB", Header('D', 1 << 30), "type 'D', length 1073741824" },
    };

    [Theory, MemberData(nameof(Requests))]
    public Task WithoutAServer(string _, byte[] bytes, string told) => WithWitnessAsync(async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(bytes);
        await AssertRefusedAsync(wire, pooler, told);
    });

    [Theory, MemberData(nameof(Requests))]
    public Task InATransaction(string _, byte[] bytes, string told) => WithWitnessAsync(async (pooler, database) =>
    {
        int server;
        using (PgWire wire = await pooler.LoginAsync(database))
        {
            await wire.QueryAsync("BEGIN; CREATE TABLE t ()");
            server = await wire.ServerAsync();
            await wire.SendAsync(bytes);
            await AssertRefusedAsync(wire, pooler, told);
        }

        // Its server is clean, and still there.
        using PgWire next = await pooler.LoginAsync(database);
        PgReply reply = await next.QueryAsync("SELECT pg_backend_pid() || ' ' || (SELECT count(*) FROM pg_class WHERE relname = 't')");
        Assert.Equal($"{server} 0", reply.Scalar);
        Assert.Equal('I', reply.TransactionStatus);
    });

    /// <summary>Nothing of it is read, so nothing more is said than fits on the way.</summary>
    [Fact]
    public Task SyncsWithoutEndAreNotAnsweredToNobody() => WithWitnessAsync(async (pooler, database) =>
    {
        long before = pooler.ResidentKilobytes;
        using (PgWire wire = await pooler.LoginAsync(database))
        {
            wire.ReadLimit = TimeSpan.FromSeconds(1);
            var syncs = new PgRequest();
            for (int i = 0; i < 100_000; i++)
                syncs.Sync();
            byte[] bytes = syncs.ToArray();
            await Assert.ThrowsAsync<TimeoutException>(async () =>
            {
                for (int i = 0; i < 100; i++)
                    await wire.SendAsync(bytes);
            });
            Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
        }
    });

    private static byte[] Message(char type, params byte[] body) => new PgRequest().Message(type, target => target.Write(body)).ToArray();

    private static byte[] Header(char type, int length) => new PgRequest().Header(type, length).ToArray();

    private static async Task AssertRefusedAsync(PgWire wire, PoolerProcess pooler, string told)
    {
        PgMessage error = await wire.ReadFatalAsync();
        Assert.Equal("08P01", error.SqlState);
        Assert.StartsWith($"invalid message from client: {told}", error.Fields()['M'], StringComparison.Ordinal);
        await AssertLoggedAsync(pooler, told);
    }

    private static async Task AssertLoggedAsync(PoolerProcess pooler, string told)
    {
        string[] Lines() => [.. pooler.LogLines.Where(line => line.Contains("pooler error:", StringComparison.Ordinal) && line.Contains(told, StringComparison.Ordinal))];
        await Eventually.BecomesAsync($"'{told}' is logged of a client", () => Task.FromResult(Lines()), static lines => lines.Length > 0);
        Assert.Single(Lines());
    }

    /// <summary>Another client is in the middle of a transaction, and must stay there; memory and counts are as before.</summary>
    private async Task WithWitnessAsync(Func<PoolerProcess, string, Task> test, string authType = "trust")
    {
        string database = await postgres.CreateDatabaseAsync();
        string other = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Settings["startup_parameters"] = "refuse";
            ini.Databases[other] = $"host=127.0.0.1 port={postgres.Port}";
        });
        await using var witness = new Npgsql.NpgsqlConnection(pooler.NpgsqlString(other, PostgresCluster.ScramUser, PostgresCluster.ScramPassword));
        await witness.OpenAsync();
        await using Npgsql.NpgsqlTransaction transaction = await witness.BeginTransactionAsync();
        int process = await AskAsync();
        long before = pooler.ResidentKilobytes;

        await test(pooler, database);

        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
        Assert.Equal(process, await AskAsync());
        if (authType == "trust")
            await Eventually.BecomesAsync("nobody is left", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);

        async Task<int> AskAsync()
        {
            await using var command = new Npgsql.NpgsqlCommand("SELECT pg_backend_pid()", witness, transaction);
            return (int)(await command.ExecuteScalarAsync())!;
        }
    }
}
