using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Who gets in, what a stranger learns by trying, and how the pooler proves itself to servers, honest ones and others.</summary>
public sealed partial class AuthenticationTests(PostgresCluster postgres)
{
    private const string Password = "correct horse, \"battery\" staple";
    private const string Wrong = "Tr0ub4dor&3";

    private enum Secret
    {
        Plain,
        Md5,
        Scram,
    }

    public static readonly TheoryData<string, string, bool> Logins = new()
    {
        { "trust", nameof(Secret.Plain), true },
        { "trust", nameof(Secret.Md5), true },
        { "trust", nameof(Secret.Scram), true },
        { "any", nameof(Secret.Plain), true },
        { "plain", nameof(Secret.Plain), true },
        { "plain", nameof(Secret.Md5), true },
        { "plain", nameof(Secret.Scram), true },
        { "md5", nameof(Secret.Plain), true },
        { "md5", nameof(Secret.Md5), true },
        { "md5", nameof(Secret.Scram), true },
        { "scram-sha-256", nameof(Secret.Plain), true },
        { "scram-sha-256", nameof(Secret.Md5), false },
        { "scram-sha-256", nameof(Secret.Scram), true },
    };

    [Theory, MemberData(nameof(Logins))]
    public async Task EveryKindOfSecretIsChecked(string authType, string form, bool fits)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, authType, Enum.Parse<Secret>(form), authType == "any" ? Forced : null);
        if (!fits)
        {
            Assert.Equal(PostgresErrorCodes.InvalidPassword, await LoginAsync(pooler, database, Password));
            return;
        }

        Assert.Equal("", await LoginAsync(pooler, database, Password));
        if (authType is not ("trust" or "any"))
        {
            Assert.Equal(PostgresErrorCodes.InvalidPassword, await LoginAsync(pooler, database, Wrong));
            Assert.Equal(PostgresErrorCodes.InvalidPassword, await LoginAsync(pooler, database, Password + " "));
            Assert.Equal(PostgresErrorCodes.InvalidPassword, await LoginAsync(pooler, database, Password[..^1]));
            Assert.Equal("", await LoginAsync(pooler, database, Password));
        }
    }

    [Fact]
    public async Task TrustAsksForTheNameAndAnyDoesNot()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess trusting = await StartAsync(database, "trust", Secret.Plain);
        using PgWire wire = await PgWire.ConnectAsync(trusting.EndPoint);
        PgMessage error = Assert.Single((await wire.StartAsync(("user", "stranger"), ("database", database))).Messages);
        Assert.Equal(("FATAL", "\"trust\" authentication failed"), (error.Fields()['S'], error.Fields()['M']));

        await using PoolerProcess open = await StartAsync(database, "any", Secret.Plain, Forced);
        using PgWire stranger = await open.LoginAsync(database, "stranger");
        Assert.Equal(PostgresCluster.User, (await stranger.QueryAsync("SELECT current_user")).Scalar);

        // Without a forced user a stranger would choose who he is on the server.
        await using PoolerProcess unforced = await StartAsync(database, "any", Secret.Plain);
        using PgWire refused = await PgWire.ConnectAsync(unforced.EndPoint);
        PgMessage refusal = Assert.Single((await refused.StartAsync(("user", "stranger"), ("database", database))).Messages, static m => m.Type == 'E');
        Assert.StartsWith("bouncer config error", refusal.Fields()['M'], StringComparison.Ordinal);
    }

    private static void Forced(PoolerIni ini) => ini.Databases[ini.Databases.Keys.Single()] += $" user={PostgresCluster.User}";

    [Fact]
    public async Task AnEmptySecretLetsNobodyIn()
    {
        string database = await postgres.CreateDatabaseAsync();
        foreach (string authType in (string[])["plain", "md5", "scram-sha-256"])
        {
            await using PoolerProcess pooler = await StartAsync(database, authType, Secret.Plain, static ini => ini.Passwords[PostgresCluster.User] = "");
            Assert.Equal(PostgresErrorCodes.InvalidPassword, await LoginAsync(pooler, database, Wrong));
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            if (authType == "plain")
            {
                await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
                await wire.SendAsync(new PgRequest().Password(""));
                Assert.Equal(PostgresErrorCodes.InvalidPassword, (await wire.ReadFatalAsync()).SqlState);
            }
        }
    }

    /// <summary>The whole conversation of a wrong password, message by message.</summary>
    [Theory]
    [InlineData("plain", nameof(Secret.Plain))]
    [InlineData("plain", nameof(Secret.Scram))]
    [InlineData("md5", nameof(Secret.Plain))]
    [InlineData("md5", nameof(Secret.Md5))]
    [InlineData("scram-sha-256", nameof(Secret.Plain))]
    [InlineData("scram-sha-256", nameof(Secret.Scram))]
    [InlineData("scram-sha-256", nameof(Secret.Md5))]
    public async Task AStrangerCannotTellWhoExists(string authType, string form)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, authType, Enum.Parse<Secret>(form));
        string known = await ConversationAsync(pooler, authType, PostgresCluster.User, database);
        Assert.Equal(known, await ConversationAsync(pooler, authType, "nobody_here", database));
        Assert.Equal(known, await ConversationAsync(pooler, authType, PostgresCluster.User, "no_such_database"));
        Assert.Equal(known, await ConversationAsync(pooler, authType, "nobody_here", "no_such_database"));
    }

    [Fact]
    public async Task TheChallengeForAStrangerIsHisOwn()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "scram-sha-256", Secret.Plain);
        Dictionary<char, string> known = await ChallengeAsync(pooler, PostgresCluster.User), knownAgain = await ChallengeAsync(pooler, PostgresCluster.User);
        Dictionary<char, string> stranger = await ChallengeAsync(pooler, "stranger"), strangerAgain = await ChallengeAsync(pooler, "stranger");
        Dictionary<char, string> another = await ChallengeAsync(pooler, "another");

        Assert.Equal(known['s'], knownAgain['s']);
        Assert.Equal(stranger['s'], strangerAgain['s']);
        Assert.NotEqual(stranger['s'], another['s']);
        Assert.NotEqual(stranger['s'], known['s']);
        Assert.Equal(known['s'].Length, stranger['s'].Length);
        Assert.Equal(known['i'], stranger['i']);
        Assert.NotEqual(stranger['r'], strangerAgain['r']);
    }

    [Theory]
    [InlineData(PostgresCluster.ByPassword, nameof(Secret.Plain))]
    [InlineData(PostgresCluster.ByMd5, nameof(Secret.Plain))]
    [InlineData(PostgresCluster.ByMd5, nameof(Secret.Md5))]
    [InlineData(PostgresCluster.ByScram, nameof(Secret.Plain))]
    public async Task TheServerIsTold(string group, string form)
    {
        string database = await postgres.CreateDatabaseAsync();
        string member = await postgres.CreateMemberAsync(group, Password);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database,
            adjust: ini => ini.Passwords[member] = Quoted(SecretOf(member, Password, Enum.Parse<Secret>(form))));
        using PgWire wire = await pooler.LoginAsync(database, member);
        Assert.Equal(member, (await wire.QueryAsync("SELECT session_user")).Scalar);
    }

    [Theory]
    [InlineData(PostgresCluster.ByPassword)]
    [InlineData(PostgresCluster.ByMd5)]
    [InlineData(PostgresCluster.ByScram)]
    public async Task TheServersRefusalIsPassedOn(string group)
    {
        string database = await postgres.CreateDatabaseAsync();
        string member = await postgres.CreateMemberAsync(group, Password);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Passwords[member] = Wrong);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", member), ("database", database))).Messages[^1];
        Assert.Equal($"FATAL 28P01 password authentication failed for user \"{member}\"", $"{error.Fields()['S']} {error.SqlState} {error.Fields()['M']}");
        AssertNoSecrets(pooler);
    }

    [Theory]
    [InlineData("")]
    [InlineData("md5")]
    public async Task ASecretThatDoesNotFitTheServerIsTold(string secret)
    {
        string database = await postgres.CreateDatabaseAsync();
        string member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database,
            adjust: ini => ini.Passwords[member] = secret == "md5" ? SecretOf(member, Password, Secret.Md5) : secret);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", member), ("database", database))).Messages[^1];
        Assert.Equal(('E', "FATAL"), (error.Type, error.Fields()['S']));
        Assert.Contains(member, error.Fields()['M'], StringComparison.Ordinal);
        AssertNoSecrets(pooler);
    }

    [Fact]
    public async Task TheDatabasesOwnUserAndPassword()
    {
        string database = await postgres.CreateDatabaseAsync();
        string member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, "it is secret");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] += $" user={member} password='it is secret'";
            ini.Settings["verbose"] = "3";
        });
        using PgWire wire = await pooler.LoginAsync(database);
        Assert.Equal(member, (await wire.QueryAsync("SELECT session_user")).Scalar);
        Assert.DoesNotContain("it is secret", pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>PostgreSQL allows salts of any length and any number of iterations; clouds use them.</summary>
    [Theory]
    [InlineData(1, 4096)]
    [InlineData(7, 4096)]
    [InlineData(33, 4096)]
    [InlineData(64, 1)]
    [InlineData(16, 100_000)]
    public async Task AnyScramVerifierOfTheServer(int saltLength, int iterations)
    {
        string database = await postgres.CreateDatabaseAsync();
        string member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Verifier(Password, RandomNumberGenerator.GetBytes(saltLength), iterations));
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Passwords[member] = Quoted(Password));
        using PgWire wire = await pooler.LoginAsync(database, member);
        Assert.Equal(member, (await wire.QueryAsync("SELECT session_user")).Scalar);
    }

    /// <summary>As in PostgreSQL's clouds: verifiers of another shape than the default, and what a stranger is asked.</summary>
    [Theory]
    [InlineData("scram-sha-256")]
    [InlineData("md5")]
    public async Task AStrangerIsAskedAsTheUsersAre(string authType)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Passwords.Clear();
            ini.Passwords[PostgresCluster.User] = Verifier(Password, RandomNumberGenerator.GetBytes(40), 10_000);
            ini.Passwords["locked"] = "";
        });
        Dictionary<char, string> known = await ChallengeAsync(pooler, PostgresCluster.User);
        foreach (string name in (string[])["stranger", "another", "locked"])
        {
            Dictionary<char, string> asked = await ChallengeAsync(pooler, name);
            Assert.Equal(("10000", known['s'].Length), (asked['i'], asked['s'].Length));
            Assert.Equal(asked['s'], (await ChallengeAsync(pooler, name))['s']);
            Assert.NotEqual(known['s'], asked['s']);
        }
    }

    /// <summary>A server that does not prove that it knows the password is not the one we were sent to.</summary>
    [Theory]
    [InlineData("ok at once")]
    [InlineData("ok behind the challenge")]
    [InlineData("ok instead of the proof")]
    [InlineData("a wrong proof")]
    [InlineData("no nonce of ours")]
    [InlineData("no salt")]
    [InlineData("no iterations")]
    [InlineData("a clear-text password after all")]
    [InlineData("an MD5 password after all")]
    [InlineData("SCRAM twice")]
    [InlineData("an unknown mechanism")]
    [InlineData("a welcome before all")]
    public async Task AServerThatProvesNothingIsRefused(string trick)
    {
        string? clear = null;
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            if (trick == "a welcome before all")
            {
                PgRequest early = new PgRequest().Message('Z', static body => PgRequest.WriteByte(body, (byte)'I'));
                await connection.SendAsync(early);
                await connection.SendAsync(FakeConnection.Welcome());
                return;
            }

            await connection.SendAsync(FakeConnection.Authentication(10, Encoding.ASCII.GetBytes(trick == "an unknown mechanism" ? "OAUTHBEARER\0\0" : "SCRAM-SHA-256\0\0")));
            PgMessage first = await connection.ReadAsync();
            string text = Encoding.ASCII.GetString(first.Body);
            string nonce = text[(text.IndexOf(",r=", StringComparison.Ordinal) + 3)..];
            switch (trick)
            {
                case "ok at once":
                    break;
                case "SCRAM twice":
                    await connection.SendAsync(FakeConnection.Authentication(10, "SCRAM-SHA-256\0\0"u8.ToArray()));
                    await connection.ReadAsync();
                    break;
                case "a clear-text password after all":
                    await connection.SendAsync(FakeConnection.Authentication(3));
                    clear = (await connection.ReadAsync()).Text();
                    break;
                case "an MD5 password after all":
                    await connection.SendAsync(FakeConnection.Authentication(5, 1, 2, 3, 4));
                    clear = (await connection.ReadAsync()).Text();
                    break;
                default:
                    string challenge = trick switch
                    {
                        "no nonce of ours" => "r=something,s=AAAAAAAAAAAAAAAAAAAAAA==,i=4096",
                        "no salt" => $"r={nonce}+,i=4096",
                        "no iterations" => $"r={nonce}+,s=AAAAAAAAAAAAAAAAAAAAAA==,i=0",
                        _ => $"r={nonce}+,s=AAAAAAAAAAAAAAAAAAAAAA==,i=4096",
                    };
                    await connection.SendAsync(FakeConnection.Authentication(11, Encoding.ASCII.GetBytes(challenge)));
                    if (trick == "ok behind the challenge")
                        break;
                    await connection.ReadAsync();
                    if (trick == "a wrong proof")
                        await connection.SendAsync(FakeConnection.Authentication(12, Encoding.ASCII.GetBytes($"v={Convert.ToBase64String(new byte[32])}")));
                    break;
            }

            await connection.SendAsync(FakeConnection.Welcome());
            await connection.ReadAsync();
        });
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={server.Port}";
        ini.Passwords[PostgresCluster.User] = Quoted(Password);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply reply = await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"));

        Assert.Equal('E', reply.Messages[^1].Type);
        Assert.Equal("FATAL", reply.Messages[^1].Fields()['S']);
        Assert.True(reply.Messages[^1].SqlState is "28000" or "08P01", $"{reply}");
        Assert.Null(clear);
        AssertNoSecrets(pooler);
    }

    [Fact]
    public async Task NoSecretIsEverLogged()
    {
        string database = await postgres.CreateDatabaseAsync();
        foreach (string authType in (string[])["plain", "md5", "scram-sha-256"])
        {
            await using PoolerProcess pooler = await StartAsync(database, authType, Secret.Plain, static ini => ini.Settings["verbose"] = "3");
            await LoginAsync(pooler, database, Password);
            await LoginAsync(pooler, database, Wrong);
            using (PgWire hasty = await PgWire.ConnectAsync(pooler.EndPoint))
            {
                await hasty.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
                await hasty.SendAsync(new PgRequest().Query(Wrong));
                await hasty.ReadToEndAsync();
            }

            Assert.NotEmpty(pooler.LogLines);
            AssertNoSecrets(pooler);
        }
    }

    private static void AssertNoSecrets(PoolerProcess pooler)
    {
        foreach (string secret in (string[])[Password, Wrong, "battery", SecretOf(PostgresCluster.User, Password, Secret.Md5), "SCRAM-SHA-256$"])
            Assert.DoesNotContain(pooler.LogLines, line => line.Contains(secret, StringComparison.Ordinal));
    }

    /// <summary>"" when the login works, else the SQLSTATE of its refusal.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string password)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(pooler.NpgsqlString(database)) { Password = password }.ConnectionString);
        try
        {
            await connection.OpenAsync();
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            Assert.Equal(1, await command.ExecuteScalarAsync());
            return "";
        }
        catch (PostgresException refused)
        {
            return refused.SqlState;
        }
    }

    /// <summary>A login with a wrong password, as everything that came back, without what is random by nature.</summary>
    private static async Task<string> ConversationAsync(PoolerProcess pooler, string authType, string user, string database)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", database)));
        PgMessage asked = (await wire.ReadAsync())!.Value;
        var seen = new StringBuilder(Convert.ToHexString(asked.Body.AsSpan(0, authType == "md5" ? 4 : asked.Body.Length)));
        if (authType == "scram-sha-256")
        {
            await wire.SendAsync(new PgRequest().SaslInitial("n,,n=,r=abcdefghijklmnopqr"));
            PgMessage challenge = (await wire.ReadAsync())!.Value;
            seen.Append($" R{challenge.Body.Length}");
            string nonce = Parts(challenge)['r'];
            await wire.SendAsync(new PgRequest().Message('p', body => body.Write(Encoding.ASCII.GetBytes($"c=biws,r={nonce},p={Convert.ToBase64String(new byte[32])}"))));
        }
        else
        {
            await wire.SendAsync(new PgRequest().Password(authType == "md5" ? "md5" + new string('0', 32) : Wrong));
        }

        foreach (PgMessage message in await wire.ReadToEndAsync())
            seen.Append($" {message.Type}:{string.Join('|', message.Fields().Select(static field => $"{field.Key}{LogReference().Replace(field.Value, "…")}"))}");
        return seen.ToString();
    }

    /// <summary>Where the log has more of an error: each connection's own.</summary>
    [GeneratedRegex(@"C-0x[0-9a-f]+, [-0-9:. ]+ UTC")]
    private static partial Regex LogReference();

    private static async Task<Dictionary<char, string>> ChallengeAsync(PoolerProcess pooler, string user)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", "any")));
        await wire.ReadAsync();
        await wire.SendAsync(new PgRequest().SaslInitial("n,,n=,r=abcdefghijklmnopqr"));
        return Parts((await wire.ReadAsync())!.Value);
    }

    private static Dictionary<char, string> Parts(PgMessage challenge) =>
        Encoding.ASCII.GetString(challenge.Body.AsSpan(4)).Split(',').ToDictionary(static part => part[0], static part => part[2..]);

    /// <summary>As a line of the userlist has it.</summary>
    private static string Quoted(string secret) => secret.Replace("\"", "\"\"");

    [SuppressMessage("Security", "CA5351", Justification = "PostgreSQL's own algorithm.")]
    private static string SecretOf(string user, string password, Secret form) => form switch
    {
        Secret.Plain => password,
        Secret.Md5 => "md5" + Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(password + user))),
        _ => Verifier(password, RandomNumberGenerator.GetBytes(16), 4096),
    };

    private static string Verifier(string password, byte[] salt, int iterations)
    {
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), salt, iterations, HashAlgorithmName.SHA256, 32);
        byte[] stored = SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8));
        byte[] server = HMACSHA256.HashData(salted, "Server Key"u8);
        return $"SCRAM-SHA-256${iterations}:{Convert.ToBase64String(salt)}${Convert.ToBase64String(stored)}:{Convert.ToBase64String(server)}";
    }

    private Task<PoolerProcess> StartAsync(string database, string authType, Secret form, Action<PoolerIni>? adjust = null) =>
        PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Passwords[PostgresCluster.User] = Quoted(SecretOf(PostgresCluster.User, Password, form));
            adjust?.Invoke(ini);
        });
}
