using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>PAUSE and RESUME, on the console and by signals.</summary>
public sealed partial class ConsolePauseTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ClientsOfPgbenchNoticeNothing()
    {
        string database = await postgres.CreateDatabaseAsync();
        CommandLine.Result filled = await CommandLine.PgbenchAsync($"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}", "-i", "-q");
        Assert.True(filled.ExitCode == 0, filled.ToString());
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3);
        Task<CommandLine.Result> load = CommandLine.PgbenchAsync(pooler.LibpqString(database), "-n", "-b", "tpcb-like", "-c", "8", "-j", "2", "-T", "4");
        await Eventually.BecomesAsync("the load runs", () => postgres.CountServersAsync(database), static count => count > 0);

        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        int pauses = 0;
        while (!load.IsCompleted)
        {
            Assert.Equal("PAUSE", (await console.QueryAsync("PAUSE")).Messages[0].Text());
            await Eventually.EqualsAsync("PostgreSQL is left alone", 0L, () => postgres.CountServersAsync(database));
            Assert.Equal("no", (await console.QueryAsync("SHOW STATE")).Rows.First()[1]);
            Assert.Equal("RESUME", (await console.QueryAsync("RESUME")).Messages[0].Text());
            pauses++;
            await Task.Delay(100);
        }

        CommandLine.Result run = await load;
        Assert.True(run.ExitCode == 0, $"{run}\n{pooler.Log}");
        Assert.True(pauses > 2 && Failed().Match(run.Output) is not { Success: true, Groups: [_, { Value: not "0" }] }, run.ToString());
    }

    [Fact]
    public async Task ItWaitsForTheTransactionAndHoldsNewWorkBack()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await client.QueryAsync("BEGIN");
        await console.SendAsync(new PgRequest().Query($"PAUSE {database}"));
        await Eventually.EqualsAsync("it is paused", "1", () => PausedAsync(pooler, database));
        Assert.Equal("2", (await client.QueryAsync("SELECT 2")).Scalar);

        await client.QueryAsync("COMMIT");
        Assert.Equal("PAUSE", (await console.ReadReplyAsync()).Messages[0].Text());
        Assert.Equal(0, await postgres.CountServersAsync(database));

        // The other database and the console go on; this one's clients wait.
        await client.SendAsync(new PgRequest().Query("SELECT 3"));
        await Eventually.EqualsAsync("it waits", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting);
        ConsoleTests.AssertError(await console.QueryAsync("RESUME"), "pooler is not paused/suspended");
        Assert.Equal("CZ", (await console.QueryAsync($"RESUME {database}")).Types);
        Assert.Equal("3", (await client.ReadReplyAsync()).Scalar);
        ConsoleTests.AssertError(await console.QueryAsync($"RESUME {database}"), $"database {database} is not paused");
    }

    [Fact]
    public async Task ADatabaseFirstUsedDuringThePauseIsPausedToo()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire console = await ConsoleAsync(pooler);
        await console.QueryAsync("PAUSE");
        ConsoleTests.AssertError(await console.QueryAsync("PAUSE"), "already suspended/paused");
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        Task<PgReply> login = client.LoginAsync(database, PostgresCluster.User);
        await Eventually.EqualsAsync("its login waits", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting);
        Assert.Equal(0, await postgres.CountServersAsync(database));
        await console.QueryAsync("RESUME");
        Assert.Equal('I', (await login).TransactionStatus);
    }

    [Theory]
    [InlineData("cancel")]
    [InlineData("disconnect")]
    [InlineData("resume")]
    public async Task APauseThatIsGivenUpEnds(string how)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database), console = await ConsoleAsync(pooler);
        await client.QueryAsync("BEGIN");
        await console.SendAsync(new PgRequest().Query("PAUSE"));
        await Eventually.EqualsAsync("it is paused", "yes", () => StateAsync(pooler));
        switch (how)
        {
            case "cancel":
                using (PgWire wrong = await PgWire.ConnectAsync(pooler.EndPoint))
                {
                    await wrong.SendAsync(PgRequest.Cancel(console.ProcessId, console.Secret ^ 1));
                    await wrong.ReadToEndAsync();
                }

                Assert.Equal("yes", await StateAsync(pooler));
                using (PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint))
                    await cancel.SendAsync(PgRequest.Cancel(console.ProcessId, console.Secret));
                Assert.Equal("57014", (await console.ReadReplyAsync()).Error!.Value.SqlState);
                break;
            case "resume":
                await pooler.ConsoleAsync("SHOW VERSION");
                using (PgWire other = await ConsoleAsync(pooler))
                    Assert.Equal("CZ", (await other.QueryAsync("RESUME")).Types);
                Assert.Equal("57014", (await console.ReadReplyAsync()).Error!.Value.SqlState);
                break;
            default:
                console.Dispose();
                break;
        }

        await Eventually.EqualsAsync("it is resumed", "no", () => StateAsync(pooler));
        await client.QueryAsync("COMMIT");
        Assert.Equal("4", (await client.QueryAsync("SELECT 4")).Scalar);
    }

    [Fact]
    public async Task SignalsPauseAndResume()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        pooler.Send(ChildProcess.Signal.Usr1);
        await Eventually.EqualsAsync("it is paused", "yes", () => StateAsync(pooler));
        await Eventually.EqualsAsync("its servers are closed", 0L, () => postgres.CountServersAsync(database));
        await client.SendAsync(new PgRequest().Query("SELECT 5"));
        pooler.Send(ChildProcess.Signal.Usr2);
        Assert.Equal("5", (await client.ReadReplyAsync()).Scalar);
        Assert.Equal("no", await StateAsync(pooler));
    }

    private static Task<PgWire> ConsoleAsync(PoolerProcess pooler) => pooler.LoginAsync("pgbouncer", PoolerIni.Admin);

    private static async Task<string> StateAsync(PoolerProcess pooler) =>
        (await pooler.ConsoleAsync("SHOW STATE")).Single(static row => row["key"] == "paused")["value"]!;

    private static async Task<string> PausedAsync(PoolerProcess pooler, string database) =>
        (await pooler.ConsoleAsync("SHOW DATABASES")).Single(row => row["name"] == database)["paused"]!;

    [GeneratedRegex(@"number of failed transactions: (\d+)")]
    private static partial Regex Failed();
}
