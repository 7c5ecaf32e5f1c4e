using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>password_command: servers are logged in to with what a command prints, and nobody else sees it.</summary>
public sealed class PasswordCommandTests(PostgresCluster postgres)
{
    private const string First = "first token", Second = "second token";

    /// <summary>Says what it was run for, then prints the password of the moment.</summary>
    private const string Command = """'echo "$POOLER_USER@$POOLER_HOST:$POOLER_PORT/$POOLER_DATABASE" >> runs; cat token'""";

    [Fact]
    public async Task ItRunsOnceForManyServersAndIsNotSeen()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, Command);
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => pooler.LoginAsync(test.Database, test.Member)));
        PgReply[] replies = await Task.WhenAll(clients.Select(static c => c.QueryAsync("BEGIN; SELECT session_user")));
        Assert.All(replies, reply => Assert.Equal(test.Member, reply.Scalar));
        Assert.Equal([$"{test.Member}@127.0.0.1:{postgres.Port}/{test.Database}"], await RunsAsync(pooler));
        string console = string.Join('\n', (await pooler.ConsoleAsync("SHOW CONFIG")).Concat(await pooler.ConsoleAsync("SHOW DATABASES")).Concat(await pooler.ConsoleAsync("SHOW SERVERS"))
            .SelectMany(static row => row.Values));
        Assert.DoesNotContain("cat token", console, StringComparison.Ordinal);
        Assert.DoesNotContain(First, console + pooler.Log, StringComparison.Ordinal);
        Array.ForEach(clients, static c => c.Dispose());
    }

    /// <summary>What was kept is refused: the command is asked once more, and the client sees nothing of it.</summary>
    [Fact]
    public async Task APasswordThatWasReplacedIsAskedForAgain()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, Command);
        using PgWire client = await pooler.LoginAsync(test.Database, test.Member);
        Assert.Equal(test.Member, (await client.QueryAsync("SELECT session_user")).Scalar);
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"ALTER ROLE {test.Member} PASSWORD '{Second}'");
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "token"), Second);
        await pooler.CommandAsync("RECONNECT");
        Assert.Equal(test.Member, (await client.QueryAsync("SELECT session_user")).Scalar);
        Assert.Equal(2, (await RunsAsync(pooler)).Length);
        await pooler.CommandAsync("RECONNECT");
        Assert.Equal(test.Member, (await client.QueryAsync("SELECT session_user")).Scalar);
        Assert.Equal(2, (await RunsAsync(pooler)).Length);

        // One that has just been printed is not asked for a second time.
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "token"), "wrong token");
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"ALTER ROLE {test.Member} PASSWORD '{First}'");
        await pooler.CommandAsync("RECONNECT");
        Task<PgReply> waiting = client.QueryAsync("SELECT session_user");
        await pooler.SeesInLogAsync($"server login failed: FATAL password authentication failed for user \"{test.Member}\" (28P01)");
        Assert.Equal(3, (await RunsAsync(pooler)).Length);
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "token"), First);
        Assert.Equal(test.Member, (await waiting).Scalar);
        Assert.DoesNotContain("token", pooler.Log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0", 3)]
    [InlineData("600", 1)]
    public async Task ItIsKeptForItsTime(string ttl, int runs)
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, Command, ini => ini.Settings["password_command_ttl"] = ttl);
        for (int i = 0; i < 3; i++)
        {
            using PgWire client = await pooler.LoginAsync(test.Database, test.Member);
            Assert.Equal(test.Member, (await client.QueryAsync("SELECT session_user")).Scalar);
            await pooler.CommandAsync("RECONNECT");
        }

        using PgWire last = await pooler.LoginAsync(test.Database, test.Member);
        Assert.Equal(runs, (await RunsAsync(pooler)).Length);
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "token"), Second);
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"ALTER ROLE {test.Member} PASSWORD '{Second}'");
        await pooler.CommandAsync("RELOAD"); // What it prints now is wanted, though the old was good for longer.
        await pooler.CommandAsync("RECONNECT");
        Assert.Equal(test.Member, (await last.QueryAsync("SELECT session_user")).Scalar);
        Assert.DoesNotContain("28P01", pooler.Log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("'echo secret part; exit 3'", "has failed with exit status 3")]
    [InlineData("'printf \"\\n\"'", "has printed nothing")]
    [InlineData("'printf \"a\\000b\"'", "has printed what is no text")]
    [InlineData("'printf \"a\\377b\"'", "has printed what is no text")]
    [InlineData("yes", "has printed more than 64 kB")]
    [InlineData("no-such-program", "has failed with exit status 127")]
    [InlineData("'echo $$ > shell; sleep 1000 & echo $! > child; wait'", "has not ended within password_command_timeout")]
    [InlineData("'sleep 1000 & echo $! > child; echo done'", "has not ended within password_command_timeout")]
    public async Task OneThatFailsFailsTheLogin(string command, string problem)
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, command, ini => ini.Settings["password_command_timeout"] = "1");
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        await client.SendAsync(PgRequest.Startup(("user", test.Member), ("database", test.Database)));
        PgMessage error = await client.ReadFatalAsync();
        Assert.Equal(("28000", $"password_command of \"{test.Database}\" {problem}; run it by hand as the user of this process"), (error.SqlState, error.Fields()['M']));
        Assert.DoesNotContain("secret part", pooler.Log, StringComparison.Ordinal);
        foreach (string file in ((string[])["shell", "child"]).Select(name => Path.Combine(pooler.Folder, name)).Where(File.Exists))
        {
            // One whose shell has ended is nobody's child any more, and cannot be found.
            bool isOrphan = command.Contains("echo done", StringComparison.Ordinal);
            int id = int.Parse(await File.ReadAllTextAsync(file));
            if (isOrphan)
            {
                System.Diagnostics.Process.GetProcessById(id).Kill();
            }

            await Eventually.BecomesAsync("it is gone", () => Task.FromResult(Directory.Exists($"/proc/{id}")), static there => !there);
        }
    }

    /// <summary>server_login_retry holds for it: a command that fails is not run for each client.</summary>
    [Fact]
    public async Task AFailureIsToldWithoutANewTry()
    {
        Case test = await CaseAsync();
        await using PoolerProcess pooler = await StartAsync(test, "'echo x >> runs; exit 1'", ini => ini.Settings["server_login_retry"] = "60");
        for (int i = 0; i < 3; i++)
        {
            using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
            await client.SendAsync(PgRequest.Startup(("user", test.Member), ("database", test.Database)));
            Assert.Contains("has failed with exit status 1", (await client.ReadFatalAsync()).Fields()['M'], StringComparison.Ordinal);
        }

        Assert.Single(await RunsAsync(pooler));
    }

    /// <summary>The probes of an entry with routing log in by it too, and ask again when what it printed is not good any more.</summary>
    [Fact]
    public async Task ProbesLogInByIt()
    {
        Case test = await CaseAsync();
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"GRANT pg_monitor TO {test.Member}");
        await using PoolerProcess pooler = await StartAsync(test, Command, ini =>
        {
            ini.Databases[test.Database] += $" routing=primary monitor_user={test.Member}";
            ini.Passwords.Remove(test.Member);
            ini.Settings["health_check_interval"] = "0.1";
        });
        await SeesAsync("up");
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "token"), Second);
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"ALTER ROLE {test.Member} PASSWORD '{Second}'");
        await postgres.ExecuteAsync(PostgresCluster.Superuser, $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{test.Member}'");
        await Eventually.BecomesAsync("it was asked again", async () => (await RunsAsync(pooler)).Length, static runs => runs == 2);
        await SeesAsync("up");
        Assert.DoesNotContain("token", pooler.Log, StringComparison.Ordinal);

        Task SeesAsync(string status) => Eventually.EqualsAsync("the host is", status, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Single()["status"] ?? "");
    }

    private async Task<Case> CaseAsync() =>
        new(await postgres.CreateDatabaseAsync(), await postgres.CreateMemberAsync(PostgresCluster.ByScram, First));

    private Task<PoolerProcess> StartAsync(Case test, string command, Action<PoolerIni>? adjust = null) =>
        PoolerProcess.StartAsync(postgres, test.Database, adjust: ini =>
        {
            ini.Databases[test.Database] += $" password_command={command}";
            ini.Passwords[test.Member] = "nothing the server knows";
            ini.Files["token"] = First + "\n";
            adjust?.Invoke(ini);
        });

    private static Task<string[]> RunsAsync(PoolerProcess pooler) => File.ReadAllLinesAsync(Path.Combine(pooler.Folder, "runs"));

    private sealed record Case(string Database, string Member);
}
