namespace Pooler.IntegrationTests;

public sealed class PsqlTests(PostgresCluster postgres)
{
    public static readonly TheoryData<string> Modes = ["session", "transaction", "statement"];

    [Theory, MemberData(nameof(Modes))]
    public async Task SelectsThroughEveryMode(string mode)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode);

        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString(database), "SELECT current_user || '@' || current_database()", "SELECT 2");

        Assert.True(result.ExitCode == 0, $"{result}\n{pooler.Log}");
        Assert.Equal($"app@{database}\n2", result.Output);
    }

    [Fact]
    public async Task AnErrorDoesNotEndTheSession()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);

        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString(database), "\\set ON_ERROR_STOP 0", "SELECT 1/0", "SELECT 'after'");

        Assert.Contains("division by zero", result.Error, StringComparison.Ordinal);
        Assert.Equal("after", result.Output);
    }

    [Fact]
    public async Task ConnectsOverTheUnixSocket()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);

        CommandLine.Result result =
            await CommandLine.PsqlAsync($"host={pooler.Folder} port={pooler.Port} dbname={database} user={PostgresCluster.User}", "SELECT 1");

        Assert.True(result.ExitCode == 0, $"{result}\n{pooler.Log}");
        Assert.Equal("1", result.Output);
    }

    [Fact]
    public async Task ReachesTheServerOverItsUnixSocket()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database,
            adjust: ini => ini.Databases[database] = $"host={postgres.Folder} port={postgres.Port} dbname={database}");

        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString(database), "SELECT inet_server_addr() IS NULL");

        Assert.True(result.ExitCode == 0, $"{result}\n{pooler.Log}");
        Assert.Equal("t", result.Output);
    }

    [Fact]
    public async Task SharesFewServersAmongManyClients()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 2);

        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => pooler.LoginAsync(database)));
        PgReply[] replies = await Task.WhenAll(clients.Select(static (client, number) => client.QueryAsync($"SELECT {number}, pg_sleep(0.01)")));

        Assert.Equal(Enumerable.Range(0, 50).Select(static number => $"{number}"), replies.Select(static reply => reply.Rows.Single()[0]));
        Assert.InRange(await postgres.CountServersAsync(database), 1, 2);
        foreach (PgWire client in clients)
            client.Dispose();
    }
}
