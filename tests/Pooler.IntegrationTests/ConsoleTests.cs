namespace Pooler.IntegrationTests;

/// <summary>The console's answers, message by message, against those recorded from PgBouncer 1.25.2.</summary>
public sealed class ConsoleTests(PostgresCluster postgres)
{
    private const string Watcher = "watcher";

    [Fact]
    public async Task LoginGreetsAsPgBouncerDoes()
    {
        await using PoolerProcess pooler = await StartAsync();
        foreach (string user in (string[])[PoolerIni.Admin, Watcher])
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            PgReply reply = await wire.LoginAsync("pgbouncer", user);

            Assert.Equal("R" + new string('S', ConsoleGolden.Welcome.Length) + "KZ", reply.Types);
            Assert.Equal(ConsoleGolden.Welcome, reply.Messages.Where(static m => m.Type == 'S').Select(static m => m.Text().Replace('\0', '=')));
            Assert.Equal(8, reply.Messages.Single(static m => m.Type == 'K').Body.Length);
            Assert.Equal('I', reply.TransactionStatus);
        }
    }

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
    public Task TablesHaveItsColumns() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, columns) in ConsoleGolden.Tables.Select(static row => row.Data))
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.True(reply.Messages[0].Type == 'T', $"{command}: {reply}");
            string[] expected = ConsoleGolden.Split(columns);
            List<string> seen = ConsoleGolden.ColumnsOf(reply.Messages[0]);

            // Columns of our own stand behind.
            Assert.Equal(expected, seen.Take(expected.Length));
            Assert.True(seen.Count == expected.Length || command is "SHOW STATS" or "SHOW MEM", command);
            Assert.Equal("SHOW", reply.Messages[^2].Text());
            Assert.Matches("^TD*CZ$", reply.Types);
        }
    });

    [Fact]
    public Task TablesHaveItsRows() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, names) in ConsoleGolden.FirstColumns.Select(static row => row.Data))
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.Equal(names.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries), reply.Rows.Select(static row => row[0]));
        }
    });

    [Fact]
    public Task DriversGetFixedAnswers() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, column, value) in ConsoleGolden.Fixed.Select(static row => row.Data))
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.Equal("TDCZ", reply.Types);
            Assert.Equal([column], ConsoleGolden.ColumnsOf(reply.Messages[0]));
            Assert.Equal(value, reply.Scalar);
        }

        foreach (string command in ConsoleGolden.IgnoredSets.Select(static row => row.Data))
        {
            PgReply reply = await wire.QueryAsync(command);
            Assert.Equal("NCZ", reply.Types);
            Dictionary<char, string> notice = reply.Messages[0].Fields();
            Assert.Equal(("NOTICE", "00000", "SET ignored", "SET"), (notice['S'], notice['C'], notice['M'], reply.Messages[1].Text()));
        }
    });

    [Fact]
    public Task ErrorsHaveItsWords() => WithConsoleAsync(async wire =>
    {
        foreach (var (command, text) in ConsoleGolden.Errors.Select(static row => row.Data))
        {
            AssertError(await wire.QueryAsync(command), text);
        }

        AssertError(await wire.QueryAsync("SHOW " + new string('x', 64)), "bad arguments");
        AssertError(await wire.QueryAsync("PAUSE pgbouncer"), "cannot pause admin db: pgbouncer");
        AssertError(await wire.QueryAsync("RESUME nosuch"), "no such database: nosuch");
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

        PgReply help = await wire.QueryAsync("SHOW HELP");
        Assert.Equal("NCZ", help.Types);
        Assert.Equal("Console usage", help.Messages[0].Fields()['M']);
        Assert.StartsWith("\n\tSHOW HELP|CONFIG|DATABASES|POOLS", help.Messages[0].Fields()['D'], StringComparison.Ordinal);
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

        foreach (var (command, _) in ConsoleGolden.Tables.Select(static row => row.Data))
        {
            Assert.Null((await wire.QueryAsync(command)).Error);
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
    public async Task TheExtendedProtocolIsRefused()
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await wire.SendAsync(new PgRequest().Parse("", "SHOW POOLS").Sync());
        AssertError(await wire.ReadReplyAsync(), "extended query protocol not supported by admin console");
        Assert.All(await wire.ReadToEndAsync(), static message => Assert.Equal('E', message.Type));
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
