namespace Pooler.IntegrationTests;

/// <summary>The console's answers to what was not recorded from PgBouncer (that: <see cref="RecordedConsoleTests"/>), after its source.</summary>
public sealed class ConsoleTests(PostgresCluster postgres)
{
    private const string Watcher = "watcher";

    [Fact]
    public async Task StrangersAreRefused()
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", "pgbouncer")));
        PgMessage error = (await wire.ReadToEndAsync()).Single();
        Assert.Equal("FATAL", error.Fields()['S']);
        Assert.Equal("08P01", error.SqlState);
    }

    [Fact]
    public Task ErrorsHaveItsWords() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, text) in ConsoleGolden.Errors.Select(static row => row.Data))
        {
            AssertError(await wire.QueryAsync(command), text);
        }

        AssertError(await wire.QueryAsync("SHOW " + new string('x', 64)), "bad arguments");
    });

    [Fact]
    public Task CommandsHaveItsTags() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, tag) in ConsoleGolden.Tags.Select(static row => row.Data))
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.Equal("CZ", reply.Types);
            Assert.Equal(tag, reply.Messages[0].Text());
        }

    });

    [Fact]
    public async Task StatsUsersMayOnlyLook()
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", Watcher);
        foreach (string command in ConsoleGolden.AdminOnly.Select(static row => row.Data))
        {
            AssertError(await wire.QueryAsync(command), "admin access needed");
        }

        foreach (string command in (IEnumerable<string>)[.. RecordedConsole.Shows, .. ConsoleGolden.OwnTables])
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.Equal(ConsoleGolden.AdminOnly.Any(row => row.Data == command) || command is "SHOW nonsense" or "SHOW POOLS EXTRA" or "SHOW transaction_isolation", reply.Error != null);
        }
    }

    [Fact]
    public async Task WithAuthTypeAnyAStrangerMayLookAndNotTouch()
    {
        await using PoolerProcess pooler = await StartAsync(static ini => ini.Settings["auth_type"] = "any");
        using PgWire wire = await pooler.LoginAsync("pgbouncer", "somebody");
        Assert.Null((await wire.QueryAsync("SHOW POOLS")).Error);
        AssertError(await wire.QueryAsync("RELOAD"), "admin access needed");
    }

    [Fact]
    public async Task PsqlWorksOnIt()
    {
        await using PoolerProcess pooler = await StartAsync();
        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString("pgbouncer", PoolerIni.Admin), "SHOW STATE", "show version;");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.StartsWith("active|yes\npaused|no\nsuspended|no\nPgBouncer 1.25.2", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ALongAnswerIsWhole()
    {
        await using PoolerProcess pooler = await StartAsync();
        var clients = new List<PgWire>();
        try
        {
            for (int i = 0; i < 400; i++)
            {
                clients.Add(await PgWire.ConnectAsync(pooler.EndPoint));
                await clients[^1].LoginAsync("app", PostgresCluster.User, ("application_name", $"client {i} {new string('x', 50)}"));
            }

            List<Dictionary<string, string?>> rows = [.. (await pooler.ConsoleAsync("SHOW CLIENTS")).Where(static row => row["database"] == "app")];
            Assert.Equal(400, rows.Select(static row => row["id"]).Distinct().Count());
            Assert.Equal(400, rows.Select(static row => row["application_name"]).Distinct().Count());
            Assert.All(rows, static row => Assert.Equal("idle", row["state"]));
        }
        finally
        {
            clients.ForEach(static client => client.Dispose());
        }
    }

    internal static void AssertError(PgReply reply, string text, string sqlState = "08P01")
    {
        Assert.Equal("EZ", reply.Types);
        Dictionary<char, string> error = reply.Messages[0].Fields();
        Assert.Equal(("ERROR", sqlState, text), (error['S'], error['C'], error['M']));
        Assert.Equal('I', reply.TransactionStatus);
    }

    private async Task WithConsoleAsync(Func<PgWire, Task> test)
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await test(wire);
    }

    private async Task<PoolerProcess> StartAsync(Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases["app"] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
            ini.Settings["stats_users"] = Watcher;
            ini.Passwords[Watcher] = "";
            adjust?.Invoke(ini);
        });
    }
}
