using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>
/// What poolers have fallen to, and no other test has yet (docs/security.md has the table of all): each attack fails, and a client that was
/// there before notices nothing.
/// </summary>
public sealed class KnownAttackTests(PostgresCluster postgres)
{
    private const string Nonce = "abcdefghijklmnopqr", Injected = "injected";

    /// <summary>CVE-2012-4575: with an entry * a name that was too long ended the process.</summary>
    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(4000)]
    [InlineData(9900)]
    public Task AnAutomaticDatabaseOfALongName(int length) => WithWitnessAsync(async (pooler, _) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply reply = await wire.StartAsync(("user", PostgresCluster.User), ("database", new string('d', length)));
        Assert.Equal("FATAL", reply.Error!.Value.Fields()['S']);
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW DATABASES"));
    }, "trust", ini => ini.Databases["*"] = $"host=127.0.0.1 port={postgres.Port}");

    /// <summary>Instead of the password or of the first message of SASL.</summary>
    public static readonly TheoryData<string, string, byte[]> Passwords = new()
    {
        { "plain", "nothing", [] },
        { "plain", "no end", [.. "sesame"u8] },
        { "plain", "bytes behind the end", [.. "sesame\0more\0"u8] },
        { "plain", "9,000 bytes", [.. Enumerable.Repeat((byte)'x', 9000), 0] },
        { "md5", "no end", [.. "md5"u8] },
        { "md5", "a hash that is too short", [.. "md50123\0"u8] },
        { "md5", "a hash of no hexadecimal digits", Encoding.ASCII.GetBytes("md5" + new string('z', 32) + "\0") },
        { "scram-sha-256", "nothing", [] },
        { "scram-sha-256", "a mechanism without an end", [.. "SCRAM-SHA-256"u8] },
        { "scram-sha-256", "no length", [.. "SCRAM-SHA-256\0"u8] },
        { "scram-sha-256", "half a length", [.. "SCRAM-SHA-256\0\0\0"u8] },
        { "scram-sha-256", "bytes behind the data", [.. "SCRAM-SHA-256\0\0\0\0\u0010n,,n=,r=abcdefghmore"u8] },
        { "scram-sha-256", "a mechanism of 9,000 bytes", [.. Enumerable.Repeat((byte)'S', 9000), 0, 0, 0, 0, 0] },
        { "scram-sha-256", "the mechanism for TLS", [.. "SCRAM-SHA-256-PLUS\0\0\0\0\u0010n,,n=,r=abcdefgh"u8] },
    };

    [Theory, MemberData(nameof(Passwords))]
    public Task InsteadOfAPassword(string authType, string _, byte[] body) => WithWitnessAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        // Whose stored secret is plain: md5 asks by MD5.
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.Md5User), ("database", database)));
        Assert.Equal('R', (await wire.ReadAsync())!.Value.Type);
        await wire.SendAsync(new PgRequest().Message('p', target => target.Write(body)));
        PgMessage end = (await wire.ReadToEndAsync()).Single();
        Assert.True(end.Type == 'E' && end.SqlState is "28P01" or "08P01", $"{end}");
    }, authType);

    /// <summary>What has opened the door once opens it never again: neither the proof of SCRAM nor the hash of MD5.</summary>
    [Theory]
    [InlineData("scram-sha-256")]
    [InlineData("md5")]
    public Task WhatWasOverheardIsOfNoUse(string authType) => WithWitnessAsync(async (pooler, database) =>
    {
        byte[] overheard = [];
        foreach (bool isReplay in (bool[])[false, true])
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.Md5User), ("database", database)));
            byte[] asked = (await wire.ReadAsync())!.Value.Body;
            if (authType == "scram-sha-256")
            {
                await wire.SendAsync(new PgRequest().SaslInitial("n,,n=,r=" + Nonce));
                asked = (await wire.ReadAsync())!.Value.Body;
            }

            if (!isReplay)
                overheard = authType == "md5" ? Md5Response(asked[4..]) : ScramFinal(Encoding.ASCII.GetString(asked.AsSpan(4)));
            await wire.SendAsync(new PgRequest().Message('p', target => target.Write(overheard)));
            PgMessage answer = (await wire.ReadAsync())!.Value;
            Assert.Equal(isReplay ? 'E' : 'R', answer.Type);
            if (isReplay)
                Assert.Equal("28P01", answer.SqlState);
        }
    }, authType);

    /// <summary>CVE-2026-6665 and its like: a server whose nonce is long enough to leave a buffer of fixed size; and one that would have us compute for half an hour.</summary>
    [Theory]
    [InlineData(455, 4096, "28000")]
    [InlineData(456, 4096, "28000")]
    [InlineData(499, 4096, "28000")]
    [InlineData(3900, 4096, "28000")]
    [InlineData(4100, 4096, "08P01")]
    [InlineData(9000, 4096, "08P01")]
    [InlineData(18, int.MaxValue, "08P01")]
    public async Task AServersLongChallenge(int length, int iterations, string sqlState)
    {
        int answered = 0;
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Authentication(10, "SCRAM-SHA-256\0\0"u8.ToArray()));
            string first = Encoding.ASCII.GetString((await connection.ReadAsync()).Body);
            string nonce = first[(first.IndexOf(",r=", StringComparison.Ordinal) + 3)..] + new string('x', length);
            await connection.SendAsync(FakeConnection.Authentication(11, Encoding.ASCII.GetBytes($"r={nonce},s=AAAAAAAAAAAAAAAAAAAAAA==,i={iterations}")));
            await connection.ReadAsync();
            Interlocked.Increment(ref answered);
            await connection.SendAsync(FakeConnection.Authentication(12, Encoding.ASCII.GetBytes($"v={Convert.ToBase64String(new byte[32])}")));
            await connection.ReadToEndAsync();
        });
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={server.Port}";
        ini.Passwords[PostgresCluster.User] = "sesame";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Error!.Value;
        Assert.Equal(("FATAL", sqlState), (error.Fields()['S'], error.SqlState));
        Assert.Equal(sqlState == "28000", Volatile.Read(ref answered) > 0);
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW VERSION"));
    }

    /// <summary>CVE-2025-12819 and its like: the connection of auth_query is as it was made, whatever a client asks for itself.</summary>
    [Theory]
    [InlineData("Application Name=evil")]
    [InlineData("Timezone=Pacific/Apia")]
    [InlineData("Search Path=evil")]
    [InlineData("Options=-c work_mem=1MB")]
    [InlineData("Options=-c role=by_scram")]
    [InlineData("Options=-c session_authorization=app")]
    public async Task NothingOfAClientReachesTheSettingsOfAuthQuery(string asked)
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, "from the server");
        await postgres.ExecuteAsync(database, """
            CREATE TABLE public.seen (who text);
            CREATE FUNCTION public.lookup(name text) RETURNS TABLE (u name, p text) LANGUAGE sql SECURITY DEFINER AS $$
                INSERT INTO public.seen SELECT concat_ws(',', session_user, current_setting('role'), current_setting('application_name'), current_setting('TimeZone'),
                    current_setting('search_path'), current_setting('work_mem'));
                SELECT rolname, rolpassword FROM pg_authid WHERE rolname = name $$;
            """);
        await using PoolerProcess pooler = await StartAsync(database, static ini =>
        {
            ini.Settings["auth_query"] = "SELECT u, p FROM public.lookup($1)";
            ini.Settings["auth_query_cache_time"] = "0";
            ini.Settings["ignore_startup_parameters"] = "extra_float_digits";
        });
        Assert.Equal("", await LoginAsync(pooler, database, member, "from the server", ""));
        for (int i = 0; i < 2; i++)
            await LoginAsync(pooler, database, member, "from the server", asked);
        Assert.Equal(1L, await postgres.ScalarAsync<long>(database, "SELECT count(DISTINCT who) FROM seen"));
        Assert.InRange(await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM seen"), 2, long.MaxValue);
    }

    /// <summary>The user's name is a parameter of auth_query and never a part of its text.</summary>
    [Theory]
    [InlineData("x' OR 'a'='a")]
    [InlineData("x'; INSERT INTO injected VALUES (1); --")]
    [InlineData("x\\'; INSERT INTO injected VALUES (1); --")]
    [InlineData("$1")]
    [InlineData("$$; INSERT INTO injected VALUES (1); $$")]
    [InlineData("%s%n%x")]
    [InlineData("\"; DROP TABLE injected; --")]
    public async Task ANameIsNotSql(string user)
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(database, $"CREATE TABLE public.{Injected} (n int)");
        await using PoolerProcess pooler = await StartAsync(database);
        Assert.Equal("28P01", await LoginAsync(pooler, database, user, "x", ""));
        Assert.Equal(0L, await postgres.ScalarAsync<long>(database, $"SELECT count(*) FROM {Injected}"));
    }

    /// <summary>An answer of auth_query that is nobody's secret, or another's.</summary>
    [Theory]
    [InlineData("SELECT $1, NULL", "28P01")]
    [InlineData("SELECT $1, ''", "28P01")]
    [InlineData("SELECT NULL, 'x'", "08006")]
    [InlineData("SELECT 'postgres', 'x' WHERE $1 <> ''", "08006")]
    [InlineData("SELECT $1, 'x' WHERE false", "28P01")]
    [InlineData("SELECT $1, 'x' FROM generate_series(1, 2)", "08006")]
    [InlineData("SELECT $1", "08006")]
    [InlineData("SELECT $1, 'x', 'y'", "08006")]
    [InlineData("SELECT $1, repeat('x', 1000000)", "28P01 or 08006")]
    public async Task AnAnswerThatIsNoSecret(string query, string sqlState)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, ini => ini.Settings["auth_query"] = query);
        Assert.Contains(await LoginAsync(pooler, database, "somebody", "x", ""), sqlState.Split(" or "));
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW VERSION"));
    }

    /// <summary>CVE-2023-22332: a status command that prints a password. Here no command does, whoever asks, nor does the log, nor the command line.</summary>
    [Fact]
    public async Task NoCommandShowsASecret()
    {
        const string stored = "stored-in-the-file", ofEntry = "stored-in-the-entry";
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Passwords["somebody"] = stored;
            ini.Databases["entry"] = ini.Databases[database] + $" user={PostgresCluster.ScramUser} password={ofEntry}";
            ini.Settings["verbose"] = "3";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        foreach (string what in (string[])["CONFIG", "DATABASES", "USERS", "POOLS", "CLIENTS", "SERVERS", "SOCKETS", "ACTIVE_SOCKETS", "LISTS", "MEM", "STATS", "TOTALS",
            "PEERS", "PEER_POOLS", "DNS_HOSTS", "DNS_ZONES", "PREPARED", "HOSTS", "HEALTH", "REPLICATION", "PINS", "STATE", "VERSION", "FDS"])
        {
            PgReply reply = await console.QueryAsync("SHOW " + what);
            Assert.True(what == "FDS" ? reply.Error != null : reply.Error == null, $"SHOW {what}: {reply}");
            Assert.DoesNotContain(reply.Messages, static message => Holds(message.Body, stored) || Holds(message.Body, ofEntry));
        }

        await console.QueryAsync("RELOAD");
        string all = pooler.Log + await File.ReadAllTextAsync($"/proc/{pooler.Id}/cmdline");
        Assert.DoesNotContain(stored, all, StringComparison.Ordinal);
        Assert.DoesNotContain(ofEntry, all, StringComparison.Ordinal);

        static bool Holds(byte[] body, string text) => body.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0;
    }

    /// <summary>A command of a megabyte: refused, and the console is there for the next.</summary>
    [Fact]
    public Task TheConsoleIsGivenAMegabyte() => WithWitnessAsync(static async (pooler, _) =>
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await console.SendAsync(new PgRequest().Query("SHOW " + new string('x', 1 << 20)));
        Assert.Equal('E', (await console.ReadAsync())!.Value.Type);
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW VERSION"));
    }, "trust");

    [SuppressMessage("Security", "CA5351", Justification = "PostgreSQL's own algorithm.")]
    private static byte[] Md5Response(byte[] salt)
    {
        string inner = Convert.ToHexStringLower(MD5.HashData(Encoding.ASCII.GetBytes(PostgresCluster.Md5Password + PostgresCluster.Md5User)));
        return Encoding.ASCII.GetBytes("md5" + Convert.ToHexStringLower(MD5.HashData([.. Encoding.ASCII.GetBytes(inner), .. salt])) + "\0");
    }

    /// <summary>The right answer to a challenge (RFC 5802, section 3).</summary>
    private static byte[] ScramFinal(string challenge)
    {
        Dictionary<char, string> parts = challenge.Split(',').ToDictionary(static part => part[0], static part => part[2..]);
        string withoutProof = $"c=biws,r={parts['r']}";
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(PostgresCluster.Md5Password, Convert.FromBase64String(parts['s']), int.Parse(parts['i']), HashAlgorithmName.SHA256, 32);
        byte[] key = HMACSHA256.HashData(salted, "Client Key"u8);
        byte[] proof = HMACSHA256.HashData(SHA256.HashData(key), Encoding.ASCII.GetBytes($"n=,r={Nonce},{challenge},{withoutProof}"));
        for (int i = 0; i < proof.Length; i++)
            proof[i] ^= key[i];
        return Encoding.ASCII.GetBytes($"{withoutProof},p={Convert.ToBase64String(proof)}");
    }

    private Task<PoolerProcess> StartAsync(string database, Action<PoolerIni>? adjust = null) => PoolerProcess.StartAsync(postgres, database, adjust: ini =>
    {
        ini.Settings["auth_user"] = PostgresCluster.Superuser;
        ini.Settings["auth_type"] = "hba";
        ini.Settings["auth_hba_file"] = "hba";
        ini.Files["hba"] = "host pgbouncer all all trust\nhost all all all password\n";
        adjust?.Invoke(ini);
    });

    /// <summary>"" when it gets in, else SQLSTATE.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string user, string password, string more)
    {
        var text = new NpgsqlConnectionStringBuilder(pooler.NpgsqlString(database) + $";Server Compatibility Mode=NoTypeLoading;SSL Mode=Disable;{more}") { Username = user, Password = password };
        await using var connection = new NpgsqlConnection(text.ConnectionString);
        try
        {
            await connection.OpenAsync();
            return "";
        }
        catch (PostgresException e)
        {
            return e.SqlState;
        }
    }

    /// <summary>A client that is there before and behind it keeps its server.</summary>
    private async Task WithWitnessAsync(Func<PoolerProcess, string, Task> test, string authType, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            adjust?.Invoke(ini);
        });
        await using var witness = new NpgsqlConnection(pooler.NpgsqlString(database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword));
        await witness.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT pg_backend_pid()", witness);
        object process = (await command.ExecuteScalarAsync())!;
        await test(pooler, database);
        Assert.Equal(process, await command.ExecuteScalarAsync());
    }
}
