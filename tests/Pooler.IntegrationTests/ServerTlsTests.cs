using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>TLS with servers: what each server_tls_sslmode makes of a server.</summary>
public sealed class ServerTlsTests(PostgresCluster postgres)
{
    /// <summary>A server without TLS.</summary>
    [Theory]
    [InlineData("disable", "")]
    [InlineData("prefer", "")]
    [InlineData("require", "server refused SSL")]
    [InlineData("verify-full", "server refused SSL")]
    public async Task AServerWithout(string mode, string problem)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["server_tls_sslmode"] = mode);
        await AssertAsync(pooler, database, problem, isEncrypted: false);
    }

    /// <summary>One whose certificate is right, made out to another, run out, or signed by a stranger.</summary>
    [Theory]
    [InlineData("DNS:localhost,IP:127.0.0.1", 2, true, "disable", "", false)]
    [InlineData("DNS:localhost,IP:127.0.0.1", 2, true, "prefer", "", true)]
    [InlineData("DNS:localhost,IP:127.0.0.1", 2, true, "verify-full", "", true)]
    [InlineData("DNS:elsewhere", 2, true, "require", "", true)]
    [InlineData("DNS:elsewhere", 2, true, "verify-ca", "", true)]
    [InlineData("DNS:elsewhere", 2, true, "verify-full", "not made out to \"127.0.0.1\"", false)]
    [InlineData("IP:127.0.0.1", -1, true, "require", "", true)]
    [InlineData("IP:127.0.0.1", -1, true, "verify-ca", "not trusted", false)]
    [InlineData("IP:127.0.0.1", 2, false, "require", "", true)]
    [InlineData("IP:127.0.0.1", 2, false, "verify-ca", "not trusted", false)]
    public async Task ACertificate(string names, int days, bool isOfOurAuthority, string mode, string problem, bool isEncrypted)
    {
        using Certificates made = await Certificates.CreateAsync(), others = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignAsync("/CN=server", names, days)));
        await using PoolerProcess pooler = await StartAsync(server, mode, isOfOurAuthority ? made.Authority : others.Authority);
        await AssertAsync(pooler, PostgresCluster.Superuser, problem, isEncrypted);
        if (isEncrypted)
            Assert.StartsWith("TLSv1.3/TLS_", (await pooler.ConsoleAsync("SHOW SERVERS")).Single()["tls"], StringComparison.Ordinal);
    }

    /// <summary>hostssl … cert of PostgreSQL.</summary>
    [Fact]
    public async Task AServerThatWantsACertificate()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        await server.SetHbaAsync($"host all {PostgresCluster.Superuser} all trust\nhostssl all {PostgresCluster.User} all cert\n");
        (string certificate, string key) = await made.SignAsync($"/CN={PostgresCluster.User}");
        await using (PoolerProcess with = await StartAsync(server, "verify-full", made.Authority, ini =>
        {
            ini.Settings["server_tls_cert_file"] = certificate;
            ini.Settings["server_tls_key_file"] = key;
        }))
        {
            await AssertAsync(with, PostgresCluster.Superuser, "", isEncrypted: true);
        }

        await using PoolerProcess without = await StartAsync(server, "verify-full", made.Authority);
        await AssertAsync(without, PostgresCluster.Superuser, "requires a valid client certificate", isEncrypted: true);
    }

    /// <summary>SCRAM-SHA-256-PLUS: PostgreSQL lets in only who is bound to the certificate it has shown.</summary>
    [Fact]
    public async Task ALoginIsBoundToTheChannel()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        await server.ExecuteAsync($"ALTER ROLE {PostgresCluster.User} PASSWORD 'a secret'");
        await server.SetHbaAsync($"host all {PostgresCluster.Superuser} all trust\nhostssl all all all scram-sha-256\n");
        await using PoolerProcess pooler = await StartAsync(server, "require", made.Authority, static ini => ini.Passwords[PostgresCluster.User] = "a secret");
        await AssertAsync(pooler, PostgresCluster.Superuser, "", isEncrypted: true);
    }

    [Fact]
    public async Task ACancelGoesTheSameWay()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        await using PoolerProcess pooler = await StartAsync(server, "verify-full", made.Authority);
        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(PostgresCluster.Superuser) + ";SSL Mode=Disable");
        await connection.OpenAsync();
        await using var sleep = new NpgsqlCommand("SELECT pg_sleep(60)", connection);
        Task running = sleep.ExecuteNonQueryAsync();
        await Eventually.EqualsAsync("it runs", 1L, () => server.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"));
        sleep.Cancel();
        OperationCanceledException end = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal("57014", Assert.IsType<PostgresException>(end.InnerException).SqlState);
    }

    /// <summary>Its probes go the same way.</summary>
    [Fact]
    public async Task ARoutedEntry()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        await server.SetHbaAsync("hostssl all all all trust\nhost all all all reject\n");
        await using PoolerProcess pooler = await StartAsync(server, "verify-full", made.Authority, ini =>
            ini.Databases[PostgresCluster.Superuser] = $"host=localhost port={server.Port} routing=primary");
        await AssertAsync(pooler, PostgresCluster.Superuser, "", isEncrypted: true);
        Assert.Equal("primary", (await pooler.ConsoleAsync("SHOW HOSTS")).Single()["role"]);
    }

    /// <summary>TLS from the first byte, which PostgreSQL 17 has brought.</summary>
    [Fact]
    public async Task Direct()
    {
        string? programs = PostgresVersions.ProgramsOf(18);
        Assert.SkipWhen(programs is null, "PostgreSQL 18 is not there: scripts/postgres.sh 18 fetches it from npm's registry");
        using Certificates made = await Certificates.CreateAsync();
        var server = new PostgresCluster(programs);
        await server.InitializeAsync();
        try
        {
            await server.EnableTlsAsync(made);
            string database = await server.CreateDatabaseAsync();
            await using PoolerProcess pooler = await PoolerProcess.StartAsync(server, database, adjust: ini =>
            {
                ini.Settings["server_tls_sslmode"] = "verify-full";
                ini.Settings["server_tls_negotiation"] = "direct";
                ini.Settings["server_tls_ca_file"] = made.Authority;
            });
            await AssertAsync(pooler, database, "", isEncrypted: true);
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    /// <summary>Other settings replace servers; what they said before is of no use any more.</summary>
    [Fact]
    public async Task OtherSettingsReplaceServers()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        await using PoolerProcess pooler = await StartAsync(server, "disable", made.Authority);
        await AssertAsync(pooler, PostgresCluster.Superuser, "", isEncrypted: false);
        string file = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("server_tls_sslmode = disable", "server_tls_sslmode = require", StringComparison.Ordinal));
        await pooler.CommandAsync("RELOAD");
        await AssertAsync(pooler, PostgresCluster.Superuser, "", isEncrypted: true);
    }

    private static Task<PoolerProcess> StartAsync(PostgresHost server, string mode, string authority, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        ini.Databases[PostgresCluster.Superuser] = $"host=127.0.0.1 port={server.Port}";
        ini.Settings["server_tls_sslmode"] = mode;
        ini.Settings["server_tls_ca_file"] = authority;
        adjust?.Invoke(ini);
        return PoolerProcess.StartAsync(ini);
    }

    private static async Task AssertAsync(PoolerProcess pooler, string database, string problem, bool isEncrypted)
    {
        string answer = await TryAsync(pooler, database);
        if (problem.Length > 0)
        {
            Assert.Contains(problem, answer, StringComparison.Ordinal);
            return;
        }

        Assert.Equal("", answer);
        using PgWire client = await pooler.LoginAsync(database);
        Assert.Equal(isEncrypted ? "t" : "f", (await client.QueryAsync("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).Scalar);
    }

    /// <summary>Empty, or what the client is told.</summary>
    private static async Task<string> TryAsync(PoolerProcess pooler, string database)
    {
        CommandLine.Result answer = await CommandLine.PsqlAsync(pooler.LibpqString(database), "SELECT 1");
        return answer.ExitCode == 0 ? "" : answer.Error;
    }
}
