namespace Pooler.IntegrationTests;

/// <summary>Who may do what on the console, by kind of user, as in PgBouncer (admin_pre_login, admin_post_login).</summary>
public sealed class ConsoleRightsTests(PostgresCluster postgres)
{
    private const string Watcher = "watcher", Stranger = "stranger", Password = "a password";

    private static readonly string[] Own = ["SHOW HOSTS", "SHOW HEALTH", "SHOW REPLICATION", "SHOW PINS", "SHOW PINS_TOTALS"];

    private static readonly string[] Looks = ["SHOW POOLS", "SHOW CONFIG", "SHOW HELP", "SELECT VERSION", "SHOW timezone", "SET DateStyle = ISO", .. Own];

    /// <summary>Each is an error for an admin, too, or does nothing.</summary>
    private static readonly string[] Acts =
    [
        "RELOAD", "SET verbose = 0", "PAUSE nosuch", "RESUME", "DISABLE nosuch", "ENABLE nosuch", "RECONNECT", "KILL nosuch", "KILL_CLIENT 0", "WAIT_CLOSE", "SHOW FDS",
        "SHOW PREPARED", "SWITCHOVER nosuch TO here",
    ];

    [Theory]
    [InlineData("trust", PoolerIni.Admin, true)]
    [InlineData("trust", Watcher, false)]
    [InlineData("trust", Stranger, null)]
    [InlineData("any", PoolerIni.Admin, true)]
    [InlineData("any", Watcher, false)]
    [InlineData("any", Stranger, false)]
    [InlineData("any", "pgbouncer", false)]
    public async Task ByNameAndAuthType(string authType, string user, bool? mayAct)
    {
        await using PoolerProcess pooler = await StartAsync(authType);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        if (mayAct is { } isAdmin)
        {
            await wire.LoginAsync("pgbouncer", user);
            await AssertRightsAsync(wire, isAdmin);
        }
        else
        {
            await AssertRefusedAsync(wire, user, "not allowed");
        }
    }

    /// <summary>Whether a name may use the console is told to nobody but its owner.</summary>
    [Fact]
    public async Task NobodyLearnsWhoIsAnAdmin()
    {
        await using PoolerProcess pooler = await StartAsync("plain");
        foreach (string user in (string[])[PoolerIni.Admin, Stranger, "nobody"])
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.SendAsync(PgRequest.Startup(("user", user), ("database", "pgbouncer")));
            Assert.Equal('R', (await wire.ReadAsync())!.Value.Type);
            await wire.SendAsync(new PgRequest().Password("wrong"));
            Assert.Equal("password authentication failed", (await wire.ReadToEndAsync()).Single().Fields()['M']);
        }

        using PgWire known = await PgWire.ConnectAsync(pooler.EndPoint);
        await known.SendAsync(PgRequest.Startup(("user", Stranger), ("database", "pgbouncer")));
        Assert.Equal('R', (await known.ReadAsync())!.Value.Type);
        await known.SendAsync(new PgRequest().Password(Password));
        Assert.Equal("not allowed", (await known.ReadToEndAsync()).Single().Fields()['M']);
    }

    /// <summary>The user pgbouncer of Pooler's own system user, over the Unix socket alone.</summary>
    [Fact]
    public async Task ThePseudoUserOfOurOwnSystemUser()
    {
        await using PoolerProcess pooler = await StartAsync("plain");
        await using (ChildProcess psql = ChildProcess.Start(pooler.Folder, Path.Combine(PostgresCluster.Programs, "psql"),
            "-X", "-w", "-A", "-t", "-d", $"host={pooler.Folder} port={pooler.Port} dbname=pgbouncer user=pgbouncer", "-c", "RELOAD", "-c", "SHOW STATE"))
        {
            Assert.True(await psql.WaitForExitAsync(Patience.Default) && psql.ExitCode == 0, psql.Log);
            Assert.Contains("active|yes", psql.Log, StringComparison.Ordinal);
        }

        // Over TCP, and as another system user, it is a name like any other.
        using PgWire tcp = await PgWire.ConnectAsync(pooler.EndPoint);
        await tcp.SendAsync(PgRequest.Startup(("user", "pgbouncer"), ("database", "pgbouncer")));
        Assert.Equal([0, 0, 0, 3], (await tcp.ReadAsync())!.Value.Body); // A password, please.
        if (OrdinaryUser.Name != null)
        {
            using PgWire other = await PgWire.ConnectAsync(pooler.UnixEndPoint);
            await other.SendAsync(PgRequest.Startup(("user", "pgbouncer"), ("database", "pgbouncer")));
            Assert.Equal([0, 0, 0, 3], (await other.ReadAsync())!.Value.Body);
        }
    }

    private static async Task AssertRightsAsync(PgWire wire, bool isAdmin)
    {
        foreach (string command in Looks)
            Assert.Null((await wire.QueryAsync(command)).Error);
        foreach (string command in Acts)
        {
            bool isRefused = (await wire.QueryAsync(command)).Error?.Fields()['M'] == "admin access needed";
            Assert.True(isRefused != isAdmin, command);
        }

        // What is no command is that for everybody.
        foreach (string command in (string[])["RELOAD now", "SUSPEND now", "SHUTDOWN nonsense", "SHOW nonsense"])
            ConsoleTests.AssertError(await wire.QueryAsync(command), $"invalid command '{command}', use SHOW HELP;");
    }

    private static async Task AssertRefusedAsync(PgWire wire, string user, string words)
    {
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", "pgbouncer")));
        Dictionary<char, string> error = (await wire.ReadToEndAsync()).Single().Fields();
        Assert.Equal(("FATAL", "08P01", words), (error['S'], error['C'], error['M']));
    }

    private async Task<PoolerProcess> StartAsync(string authType)
    {
        string database = await postgres.CreateDatabaseAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Settings["stats_users"] = Watcher;
            ini.Passwords[PoolerIni.Admin] = ini.Passwords[Watcher] = ini.Passwords[Stranger] = Password;
        });
    }
}
