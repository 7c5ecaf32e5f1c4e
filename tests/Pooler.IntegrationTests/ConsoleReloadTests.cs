namespace Pooler.IntegrationTests;

/// <summary>RELOAD on the console and by SIGHUP: clients stay, a bad file changes nothing, what needs a restart is said.</summary>
public sealed class ConsoleReloadTests(PostgresCluster postgres)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ClientsStayAndNewSettingsHold(bool bySignal)
    {
        string database = await postgres.CreateDatabaseAsync(), other = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        await second.SendAsync(new PgRequest().Query("SELECT 2"));
        await Eventually.EqualsAsync("the second waits", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting);

        await EditAsync(pooler, text => text.Replace("default_pool_size = 1", "default_pool_size = 2", StringComparison.Ordinal)
            .Replace("[users]", $"{other} = host=127.0.0.1 port={postgres.Port} dbname={other}\n[users]", StringComparison.Ordinal)
            + "listen_backlog = 77\n");
        await ReloadAsync(pooler, bySignal);

        Assert.Equal("2", (await second.ReadReplyAsync()).Scalar); // the pool has room for it now
        Assert.Equal('T', (await first.QueryAsync("SELECT 1")).TransactionStatus);
        await first.QueryAsync("COMMIT");
        using PgWire newcomer = await pooler.LoginAsync(other);
        Assert.Equal(other, (await newcomer.QueryAsync("SELECT current_database()")).Scalar);
        Assert.Equal("2", await ConfigAsync(pooler, "default_pool_size"));
        Assert.Equal("128", await ConfigAsync(pooler, "listen_backlog"));
        await pooler.SeesInLogAsync("only after a restart: listen_backlog");
    }

    [Fact]
    public async Task ABadFileChangesNothing()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3);
        using PgWire client = await pooler.LoginAsync(database), console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await client.QueryAsync("BEGIN");

        await EditAsync(pooler, static text => text.Replace("default_pool_size = 3", "default_pool_size = 4", StringComparison.Ordinal)
            + "pool_mode = sometimes\nno_such_setting = 1\n");
        ConsoleTests.AssertError(await console.QueryAsync("RELOAD"), "RELOAD failed, see logs for additional details", "F0000");

        Assert.Equal("3", await ConfigAsync(pooler, "default_pool_size"));
        Assert.Equal("transaction", await ConfigAsync(pooler, "pool_mode"));
        await pooler.SeesInLogAsync("sometimes");
        await pooler.SeesInLogAsync("no_such_setting");
        await client.QueryAsync("COMMIT");
        using PgWire newcomer = await pooler.LoginAsync(database);
        Assert.Equal("1", (await newcomer.QueryAsync("SELECT 1")).Scalar);

        await EditAsync(pooler, static text => text.Replace("pool_mode = sometimes\nno_such_setting = 1\n", "", StringComparison.Ordinal));
        await ReloadAsync(pooler, bySignal: false);
        Assert.Equal("4", await ConfigAsync(pooler, "default_pool_size"));
    }

    [Fact]
    public async Task AnotherTargetReplacesTheServers()
    {
        string database = await postgres.CreateDatabaseAsync(), moved = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire busy = await pooler.LoginAsync(database), idle = await pooler.LoginAsync(database);
        await idle.QueryAsync("SELECT 1");
        await busy.QueryAsync("BEGIN");
        await EditAsync(pooler, text => text.Replace($"dbname={database}", $"dbname={moved}", StringComparison.Ordinal));
        await ReloadAsync(pooler, bySignal: false);

        Assert.Equal(database, (await busy.QueryAsync("SELECT current_database()")).Scalar);
        Assert.Equal(moved, (await idle.QueryAsync("SELECT current_database()")).Scalar);
        await busy.QueryAsync("COMMIT");
        Assert.Equal(moved, (await busy.QueryAsync("SELECT current_database()")).Scalar);
        await Eventually.EqualsAsync("the old servers are gone", 0L, () => postgres.CountServersAsync(database));
    }

    /// <summary>PgBouncer keeps it until a restart. Who is here stays who it is; who comes now comes as itself.</summary>
    [Fact]
    public async Task AForcedUserThatIsTakenOutIsNobodysAnyMore()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Databases[database] += $" user={PostgresCluster.Superuser}");
        using PgWire before = await pooler.LoginAsync(database);
        int server = await before.ServerAsync();
        Assert.Equal(PostgresCluster.Superuser, (await before.QueryAsync("SELECT current_user")).Scalar);
        await EditAsync(pooler, static text => text.Replace($" user={PostgresCluster.Superuser}", "", StringComparison.Ordinal));
        await ReloadAsync(pooler, bySignal: false);
        using PgWire after = await pooler.LoginAsync(database);
        Assert.Equal(PostgresCluster.User, (await after.QueryAsync("SELECT current_user")).Scalar);
        Assert.Equal(PostgresCluster.Superuser, (await before.QueryAsync("SELECT current_user")).Scalar);
        Assert.NotEqual(server, await before.ServerAsync());
    }

    /// <summary>Who connected before the RELOAD and logs in after it goes where the others go, and brings nobody back.</summary>
    [Fact]
    public async Task ALoginUnderWayGoesByTheNewFile()
    {
        string database = await postgres.CreateDatabaseAsync(), moved = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire early = await pooler.AcceptedAsync(), late = await pooler.AcceptedAsync();
        await EditAsync(pooler, text => text.Replace($"dbname={database}", $"dbname={moved}", StringComparison.Ordinal));
        await ReloadAsync(pooler, bySignal: false);
        Assert.Null((await early.LoginAsync(database, PostgresCluster.User)).Error);
        Assert.Equal(moved, (await early.QueryAsync("SELECT current_database()")).Scalar);
        using PgWire newcomer = await pooler.LoginAsync(database);
        Assert.Equal(moved, (await newcomer.QueryAsync("SELECT current_database()")).Scalar);

        await EditAsync(pooler, text => text.Replace($"{database} =", "another =", StringComparison.Ordinal));
        await ReloadAsync(pooler, bySignal: false);
        await late.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
        Assert.Contains($"no such database: {database}", (await late.ReadToEndAsync()).Single(static message => message.Type == 'E').ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SetHoldsUntilTheNextReload()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3);
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await console.QueryAsync("SET default_pool_size TO '9';");
        await console.QueryAsync("SET listen_port = 7000");
        Assert.Equal("9", await ConfigAsync(pooler, "default_pool_size"));
        Assert.Equal($"{pooler.Port}", await ConfigAsync(pooler, "listen_port"));
        await ReloadAsync(pooler, bySignal: false);
        Assert.Equal("3", await ConfigAsync(pooler, "default_pool_size"));
    }

    private static async Task EditAsync(PoolerProcess pooler, Func<string, string> edit)
    {
        string path = Path.Combine(pooler.Folder, "pooler.ini"), text = await File.ReadAllTextAsync(path), changed = edit(text);
        Assert.NotEqual(text, changed);
        await File.WriteAllTextAsync(path, changed);
    }

    private static async Task ReloadAsync(PoolerProcess pooler, bool bySignal)
    {
        if (!bySignal)
        {
            using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
            Assert.Equal("RELOAD", (await console.QueryAsync("RELOAD")).Messages[0].Text());
            return;
        }

        string before = await ConfigAsync(pooler, "default_pool_size");
        pooler.Send(ChildProcess.Signal.Hup);
        await Eventually.BecomesAsync("the file is read", () => ConfigAsync(pooler, "default_pool_size"), now => now != before);
    }

    private static async Task<string> ConfigAsync(PoolerProcess pooler, string key) =>
        (await pooler.ConsoleAsync("SHOW CONFIG")).Single(row => row["key"] == key)["value"]!;
}
