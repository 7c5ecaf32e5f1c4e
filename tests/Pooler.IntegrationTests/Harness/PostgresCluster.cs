using Npgsql;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A PostgreSQL of the tests' own: a temporary folder, a free port, no fsync. Ended and removed with the fixture.</summary>
public sealed class PostgresCluster : IAsyncLifetime
{
    public const string Superuser = "postgres";

    /// <summary>Owner of the tests' databases; let in without a password.</summary>
    public const string User = "app";

    public const string Md5User = "app_md5";
    public const string Md5Password = "md5 secret";
    public const string ScramUser = "app_scram";
    public const string ScramPassword = "scram secret";

    /// <summary>Roles whose members the server asks for a password in this way; see <see cref="CreateMemberAsync"/>.</summary>
    public const string ByPassword = "by_password", ByMd5 = "by_md5", ByScram = "by_scram";

    /// <summary>A role that User may SET ROLE to.</summary>
    public const string Borrowed = "borrowed";

    /// <summary>How the harness's own connections call themselves: they may still be ending when a test counts servers.</summary>
    internal const string OwnName = "harness";

    public const int MaxConnections = 300;

    private readonly string _programs;
    private ChildProcess? _server;
    private int _databases;
    private int _members;

    public PostgresCluster()
        : this(Programs)
    {
    }

    internal PostgresCluster(string programs) => _programs = programs;

    /// <summary>Where the newest installed PostgreSQL has its programs.</summary>
    internal static string Programs { get; } = FindPrograms();

    public int Port { get; private set; }

    public string Folder { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        Folder = OrdinaryUser.CreateFolder();
        string data = Path.Combine(Folder, "data");
        await using (ChildProcess initdb = ChildProcess.Start(Folder, Path.Combine(_programs, "initdb"),
            "-D", data, "-U", Superuser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"))
        {
            Assert.True(await initdb.WaitForExitAsync(Patience.Long) && initdb.ExitCode == 0, initdb.Log);
        }

        await File.WriteAllTextAsync(Path.Combine(data, "pg_hba.conf"), $"""
            local all all trust
            host all {Md5User} 127.0.0.1/32 md5
            host all {ScramUser} 127.0.0.1/32 scram-sha-256
            host all +{ByPassword} 127.0.0.1/32 password
            host all +{ByMd5} 127.0.0.1/32 md5
            host all +{ByScram} 127.0.0.1/32 scram-sha-256
            host all all 127.0.0.1/32 trust
            host replication all 127.0.0.1/32 trust
            """ + "\n");

        Port = FreePort.Next();
        await File.AppendAllTextAsync(Path.Combine(data, "postgresql.conf"), $"""
            listen_addresses = '127.0.0.1'
            port = {Port}
            unix_socket_directories = '{Folder}'
            max_connections = {MaxConnections}
            fsync = off
            synchronous_commit = off
            full_page_writes = off
            max_wal_size = '4GB'
            shared_buffers = '128MB'
            log_min_messages = fatal
            log_line_prefix = '[%d] '
            """ + "\n");

        _server = ChildProcess.Start(Folder, Path.Combine(_programs, "postgres"), "-D", data);
        await WaitUntilReadyAsync();
        await ExecuteAsync(Superuser, $"""
            CREATE ROLE {User} LOGIN;
            SET password_encryption = 'md5';
            CREATE ROLE {Md5User} LOGIN PASSWORD '{Md5Password}';
            SET password_encryption = 'scram-sha-256';
            CREATE ROLE {ScramUser} LOGIN PASSWORD '{ScramPassword}';
            CREATE ROLE {Borrowed} ROLE {User};
            CREATE ROLE {ByPassword};
            CREATE ROLE {ByMd5};
            CREATE ROLE {ByScram};
            """);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            _server.Send(ChildProcess.Signal.Quit);
            await _server.WaitForExitAsync(Patience.Default);
            await _server.DisposeAsync();
        }

        if (Folder.Length > 0)
            Directory.Delete(Folder, recursive: true);
    }

    /// <summary>Waits until connections are taken, at the start or after a crash of a backend.</summary>
    public async Task WaitUntilReadyAsync() =>
        await Eventually.EqualsAsync("PostgreSQL takes connections", "ready", async () =>
        {
            if (_server!.HasExited)
                Assert.Fail($"PostgreSQL ended:\n{_server.Log}");
            try
            {
                await ExecuteAsync(Superuser, "SELECT 1");
                return "ready";
            }
            catch (NpgsqlException fault)
            {
                return fault.Message;
            }
        });

    /// <summary>From now on it speaks TLS, with a certificate of this authority's.</summary>
    internal async Task EnableTlsAsync(Certificates made)
    {
        foreach (string line in (await made.PostgresSettingsAsync(await made.SignServerAsync())).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            await ExecuteAsync(Superuser, $"ALTER SYSTEM SET {line}");
        await ExecuteAsync(Superuser, "SELECT pg_reload_conf()");
        await Eventually.BecomesAsync("it speaks TLS", async () =>
        {
            using PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, Port));
            await wire.SendAsync(PgRequest.SslRequest);
            return await wire.ReadByteAsync();
        }, static answer => answer == 'S');
    }

    /// <summary>A new database of User, so that what one test does to its servers is not seen by another.</summary>
    public async Task<string> CreateDatabaseAsync()
    {
        string name = $"t{Interlocked.Increment(ref _databases)}";
        await ExecuteAsync(Superuser, $"CREATE DATABASE {name} OWNER {User}");
        await ExecuteAsync(name, $"GRANT ALL ON SCHEMA public TO PUBLIC");
        return name;
    }

    /// <summary>Connection string of the superuser, past any pooler.</summary>
    public string Direct(string database) =>
        $"Host=127.0.0.1;Port={Port};Username={Superuser};Database={database};Pooling=false;Application Name={OwnName};Timeout=15;Command Timeout=60;Server Compatibility Mode=NoTypeLoading";

    /// <summary>A new role that may log in, and that the server asks for its password as the group says.</summary>
    public async Task<string> CreateMemberAsync(string group, string secret)
    {
        string name = $"member{Interlocked.Increment(ref _members)}";
        await ExecuteAsync(Superuser, $"""
            SET password_encryption = '{(group == ByMd5 ? "md5" : "scram-sha-256")}';
            CREATE ROLE {name} LOGIN PASSWORD '{secret}' IN ROLE {group};
            """);
        return name;
    }

    /// <summary>From now on the servers of this database log every statement they get.</summary>
    public Task LogStatementsAsync(string database) => ExecuteAsync(Superuser, $"""
        ALTER DATABASE {database} SET log_statement = 'all';
        ALTER DATABASE {database} SET log_min_messages = 'log';
        """);

    /// <summary>The statements logged so far, in order; not those of the tests' own look. Several lines of one are parted.</summary>
    public async Task<List<string>> LoggedStatementsAsync(string database)
    {
        // All processes write to one pipe, so what comes before our own last word is complete.
        string end = $"end {Guid.NewGuid():N}";
        await ExecuteAsync(database, $"SELECT '{end}'");
        await Eventually.BecomesAsync("the log is written", () => Task.FromResult(_server!.Lines.Any(line => line.Contains(end))), static seen => seen);
        string prefix = $"[{database}] LOG:  ";
        return [.. _server!.Lines.Where(line => line.StartsWith(prefix, StringComparison.Ordinal) && !line.Contains("SELECT 'end "))
            .Select(line => line[prefix.Length..]).Where(static line => line.StartsWith("statement: ", StringComparison.Ordinal)
                || line.StartsWith("execute ", StringComparison.Ordinal) || line.StartsWith("fastpath ", StringComparison.Ordinal))
            .Select(static line => line[(line.IndexOf(": ", StringComparison.Ordinal) + 2)..])];
    }

    public async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(Direct(database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(Direct(database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>How many connections the database has now, not counting this look.</summary>
    public Task<long> CountServersAsync(string database) =>
        ScalarAsync<long>(Superuser, $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend' AND application_name <> '{OwnName}'");

    private static string FindPrograms() =>
        Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql")
                .Where(static folder => File.Exists(Path.Combine(folder, "bin", "postgres")))
                .OrderByDescending(static folder => int.TryParse(Path.GetFileName(folder), out int version) ? version : 0)
                .Select(static folder => Path.Combine(folder, "bin"))
                .FirstOrDefault() ?? throw new InvalidOperationException("no PostgreSQL server under /usr/lib/postgresql")
            : throw new InvalidOperationException("PostgreSQL is not installed: /usr/lib/postgresql is missing");
}
