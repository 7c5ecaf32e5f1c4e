using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

public sealed partial class PgbenchTests(PostgresCluster postgres)
{
    private const int Clients = 8;
    private const int Transactions = 100;

    [Theory]
    [InlineData("session", "simple", "tpcb-like")]
    [InlineData("session", "extended", "tpcb-like")]
    [InlineData("session", "prepared", "tpcb-like")]
    [InlineData("session", "prepared", "select-only")]
    [InlineData("transaction", "simple", "tpcb-like")]
    [InlineData("transaction", "extended", "tpcb-like")]
    [InlineData("transaction", "simple", "select-only")]
    [InlineData("transaction", "extended", "select-only")]
    [InlineData("statement", "simple", "select-only")] // tpcb-like has BEGIN in it, which this mode refuses
    [InlineData("statement", "extended", "select-only")]
    public Task RunsWithMoreClientsThanServers(string mode, string protocol, string script) =>
        // In session mode a client keeps its server, so all need one.
        RunAsync(mode, protocol, script, poolSize: mode == "session" ? Clients : 3);

    [Theory]
    [InlineData("tpcb-like")]
    [InlineData("select-only")]
    public async Task RunsPreparedStatementsInTransactionModeWithAServerForEachClient(string script)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer before 1.21 has no prepared statements in transaction mode");
        await RunAsync("transaction", "prepared", script, Clients);
    }

    [Fact]
    public async Task APipelineOfPgbenchKeepsItsOrder()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3);
        string script = Path.Combine(pooler.Folder, "pipeline.sql");
        await File.WriteAllTextAsync(script, """
            \startpipeline
            SELECT 1;
            SELECT repeat('x', 5000);
            SELECT 3;
            \endpipeline

            """);

        CommandLine.Result run = await CommandLine.PgbenchAsync(pooler.LibpqString(database),
            "-n", "-M", "extended", "-f", script, "-c", $"{Clients}", "-t", $"{Transactions}");

        AssertAllProcessed(run, pooler);
    }

    private async Task RunAsync(string mode, string protocol, string script, int poolSize)
    {
        string database = await postgres.CreateDatabaseAsync();
        CommandLine.Result filled =
            await CommandLine.PgbenchAsync($"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}", "-i", "-q", "-s", "1");
        Assert.True(filled.ExitCode == 0, filled.ToString());
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize);

        CommandLine.Result run = await CommandLine.PgbenchAsync(pooler.LibpqString(database),
            "-n", "-M", protocol, "-b", script, "-c", $"{Clients}", "-j", "2", "-t", $"{Transactions}");

        AssertAllProcessed(run, pooler);
        Assert.InRange(await postgres.CountServersAsync(database), 0, poolSize);
        if (script == "tpcb-like")
            Assert.Equal((long)Clients * Transactions, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM pgbench_history"));
    }

    private static void AssertAllProcessed(CommandLine.Result run, PoolerProcess pooler)
    {
        Assert.True(run.ExitCode == 0, $"{run}\n{pooler.Log}");
        Match processed = Processed().Match(run.Output);
        Assert.True(processed.Success && processed.Groups[1].Value == $"{Clients * Transactions}", run.ToString());
    }

    [GeneratedRegex(@"transactions actually processed: (\d+)")]
    private static partial Regex Processed();
}
