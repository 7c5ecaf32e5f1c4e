using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>
/// userlist.txt has nothing but the SCRAM verifier that the server has too: the keys a client has proved itself with open the server, now
/// and later, for that user alone and as long as the verifier stands.
/// </summary>
public sealed class ScramPassThroughTests(PostgresCluster postgres)
{
    private const string Password = "correct horse", NewPassword = "battery staple";

    [Theory]
    [InlineData("scram-sha-256", 16, 4096)]
    [InlineData("scram-sha-256", 7, 1)]
    [InlineData("scram-sha-256", 64, 20_000)]
    [InlineData("md5", 16, 4096)]
    [InlineData("plain", 16, 4096)]
    public async Task TheClientsKeysOpenTheServer(string authType, int saltLength, int iterations)
    {
        Case test = await CaseAsync(saltLength, iterations);
        await using PoolerProcess pooler = await StartAsync(test, authType);
        Assert.Equal(test.Member, await WhoAsync(pooler, test, Password));
        Assert.Equal(PostgresErrorCodes.InvalidPassword, await FailureAsync(pooler, test, NewPassword));
        Assert.DoesNotContain(pooler.LogLines, line => line.Contains(test.Verifier[^20..], StringComparison.Ordinal) || line.Contains(Password, StringComparison.Ordinal));
    }

    /// <summary>Servers of the same pool that nobody logs in for: more of them, and new ones in place of the old.</summary>
    [Fact]
    public async Task LaterServersNeedNoNewLogin()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, adjust: static ini => ini.Settings["min_pool_size"] = "3");
        await using NpgsqlConnection connection = await OpenAsync(pooler, test, Password);
        await ServersAreAsync(test, 3);
        string then = await postgres.ScalarAsync<string>(PostgresCluster.Superuser, "SELECT clock_timestamp()::text");
        await postgres.ExecuteAsync(PostgresCluster.Superuser,
            $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{test.Member}'");

        // New ones in place of all three: Pooler has seen each of the old ones end.
        await ServersAreAsync(test, 3, since: then);
        await using var command = new NpgsqlCommand("SELECT session_user::text", connection);
        Assert.Equal(test.Member, await command.ExecuteScalarAsync());
    }

    /// <summary>Same password, other salt: the keys fit nowhere else, and the operator reads what to do.</summary>
    [Fact]
    public async Task AnotherVerifierOfTheSamePasswordIsTold()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test with { Verifier = Verifier(Password, RandomNumberGenerator.GetBytes(16), 4096) });
        PostgresException refused = await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, test, Password));
        Assert.Equal("28000", refused.SqlState);
        Assert.Contains($"another SCRAM secret for user \"{test.Member}\"", refused.MessageText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithoutAScramLoginThereAreNoKeys()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, "trust");
        PostgresException refused = await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, test, Password));
        Assert.Equal("28000", refused.SqlState);
        Assert.Contains("auth_type", refused.MessageText, StringComparison.Ordinal);
    }

    /// <summary>pgbouncer#1461: the keys of the client that logs in were used as those of the forced user. Nor are that user's own, from another entry.</summary>
    [Fact]
    public async Task AForcedUserGetsNobodysKeys()
    {
        Case test = await CaseAsync();
        string verifier = Verifier(Password, RandomNumberGenerator.GetBytes(16), 4096);
        string forced = await postgres.CreateMemberAsync(PostgresCluster.ByScram, verifier);
        await using PoolerProcess pooler = await StartAsync(test, adjust: ini =>
        {
            ini.Passwords[forced] = verifier;
            ini.Databases["forced"] = $"{ini.Databases[test.Database]} user={forced}";
            ini.Databases["same"] = $"{ini.Databases[test.Database]} user={test.Member}";
        });
        Assert.Equal(test.Member, await WhoAsync(pooler, test, Password));
        Assert.Equal(forced, await WhoAsync(pooler, test with { Member = forced }, Password));
        foreach (string entry in (string[])["forced", "same"])
        {
            PostgresException refused = await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, test with { Database = entry }, Password));
            Assert.Equal("28000", refused.SqlState);
            Assert.Contains("forced user", refused.MessageText, StringComparison.Ordinal);
        }
    }

    /// <summary>The password changes on the server and in auth_file: the old keys are gone with the old verifier, and one new login brings new ones.</summary>
    [Fact]
    public async Task TheKeysDieWithTheVerifier()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test);
        await using NpgsqlConnection old = await OpenAsync(pooler, test, Password);
        string verifier = Verifier(NewPassword, RandomNumberGenerator.GetBytes(16), 4096);
        string list = Path.Combine(pooler.Folder, "userlist.txt");
        await File.WriteAllTextAsync(list, (await File.ReadAllTextAsync(list)).Replace(test.Verifier, verifier));
        CommandLine.Result reload = await CommandLine.PsqlAsync(pooler.LibpqString("pgbouncer", PoolerIni.Admin, "console"), "RELOAD");
        Assert.True(reload.ExitCode == 0, $"{reload}");

        // The server still takes the old password: were the old keys used, this would work.
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{test.Member}'");
        await using var command = new NpgsqlCommand("SELECT session_user::text", old);
        Task<object?> waiting = command.ExecuteScalarAsync();
        await Eventually.BecomesAsync("the pooler tells", () => Task.FromResult(pooler.Log), static log => log.Contains("a SCRAM secret opens the server only once", StringComparison.Ordinal));
        Assert.False(waiting.IsCompleted);

        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"ALTER ROLE {test.Member} PASSWORD '{verifier}'");
        Assert.Equal(PostgresErrorCodes.InvalidPassword, await FailureAsync(pooler, test, Password));
        Assert.Equal(test.Member, await WhoAsync(pooler, test, NewPassword));
        Assert.Equal(test.Member, await waiting);
    }

    private static async Task<NpgsqlConnection> OpenAsync(PoolerProcess pooler, Case test, string password)
    {
        var connection = new NpgsqlConnection(pooler.NpgsqlString(test.Database, test.Member, password));
        await connection.OpenAsync();
        return connection;
    }

    private static async Task<string> WhoAsync(PoolerProcess pooler, Case test, string password)
    {
        await using NpgsqlConnection connection = await OpenAsync(pooler, test, password);
        await using var command = new NpgsqlCommand("SELECT session_user::text", connection);
        return (string)(await command.ExecuteScalarAsync())!;
    }

    private static async Task<string> FailureAsync(PoolerProcess pooler, Case test, string password) =>
        (await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, test, password))).SqlState;

    private static string Verifier(string password, byte[] salt, int iterations)
    {
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), salt, iterations, HashAlgorithmName.SHA256, 32);
        byte[] stored = SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8));
        byte[] server = HMACSHA256.HashData(salted, "Server Key"u8);
        return $"SCRAM-SHA-256${iterations}:{Convert.ToBase64String(salt)}${Convert.ToBase64String(stored)}:{Convert.ToBase64String(server)}";
    }

    private Task<long> ServersAreAsync(Case test, long count, string since = "-infinity") => Eventually.EqualsAsync("the servers", count, () =>
        postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE usename = '{test.Member}' AND backend_start > '{since}'"));

    private async Task<Case> CaseAsync(int saltLength = 16, int iterations = 4096)
    {
        string verifier = Verifier(Password, RandomNumberGenerator.GetBytes(saltLength), iterations);
        return new Case(await postgres.CreateDatabaseAsync(), await postgres.CreateMemberAsync(PostgresCluster.ByScram, verifier), verifier);
    }

    private Task<PoolerProcess> StartAsync(Case test, string authType = "scram-sha-256", Action<PoolerIni>? adjust = null) =>
        PoolerProcess.StartAsync(postgres, test.Database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Passwords[PoolerIni.Admin] = "console";
            ini.Passwords[test.Member] = test.Verifier;
            adjust?.Invoke(ini);
        });

    private sealed record Case(string Database, string Member, string Verifier);
}
