using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>Two processes on one port: the new one is started, then the old one is ended with SIGTERM, and nobody notices.</summary>
public sealed class RollingRestartTests(PostgresCluster postgres)
{
    /// <summary>
    /// A connection for each transaction, all the time. The kernel gives each to one of the processes, and resets what is in the queue of
    /// one that closes: nobody may be in it.
    /// </summary>
    [Fact]
    public async Task NewConnectionsAreNeverRefused()
    {
        await using PeerGroup group = await StartAsync();
        Task<CommandLine.Result> running = PgbenchAsync(group, "-C", "-c", "8", "-j", "2", "-T", "12");
        for (int next = 2; next <= 4; next++)
        {
            await group.StartAsync(next);
            await WorksAsync(group, next);
            group[next - 1].Send(ChildProcess.Signal.Term);
            await group.EndedAsync(next - 1);
        }

        AssertNoError(await running);
    }

    /// <summary>Clients that stay connected are waited for; they and their cancels go on meanwhile, new clients get the new process.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task LongLivedClientsAreWaitedFor(bool bySignal)
    {
        await using PeerGroup group = await StartAsync();
        using PgWire client = await group.LoginAsync();
        Task<CommandLine.Result> running = PgbenchAsync(group, "-c", "4", "-T", "4");
        await WorksAsync(group, 1);
        await group.StartAsync(2);
        if (bySignal)
            group[1].Send(ChildProcess.Signal.Term);
        else
        {
            using PgWire console = await group.LoginAsync(1, PoolerIni.Admin, "pgbouncer");
            Assert.Null((await console.QueryAsync("SHUTDOWN WAIT_FOR_CLIENTS")).Error);
        }

        // From when the old one hears of nothing any more, every new client is with the new one.
        await Eventually.EqualsAsync("where a new client is", 2, async () =>
        {
            using PgWire fresh = await group.LoginAsync();
            return PeerGroup.PeerOf(fresh);
        });
        await client.SendAsync(new PgRequest().Query("SELECT pg_sleep(600)"));
        await Eventually.EqualsAsync("queries that run", 1L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{group.Database}' AND query = 'SELECT pg_sleep(600)' AND state = 'active'"));
        await PeerGroup.CancelAsync(group.UnixEndPointOf(2), client.Key);
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error?.SqlState);
        AssertNoError(await running);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.True(group[1].IsRunning);
        client.Dispose();
        await group.EndedAsync(1);
    }

    private static void AssertNoError(CommandLine.Result result)
    {
        Assert.True(result.ExitCode == 0 && result.Output.Contains("number of failed transactions: 0 ", StringComparison.Ordinal)
            && !result.Error.Contains("rror", StringComparison.Ordinal), $"{result}");
        string count = result.Output.Split('\n').Single(static line => line.StartsWith("number of transactions actually processed: ", StringComparison.Ordinal));
        Assert.True(int.Parse(count.Split(' ', '/')[5], CultureInfo.InvariantCulture) > 100, $"{result}");
    }

    private static Task<CommandLine.Result> PgbenchAsync(PeerGroup group, params string[] arguments)
    {
        string script = Path.Combine(group[1].Folder, "select.sql");
        File.WriteAllText(script, "SELECT 1;\n");
        return CommandLine.PgbenchAsync(group.LibpqString, ["-n", "-f", script, .. arguments]);
    }

    /// <summary>It has run transactions of pgbench.</summary>
    private static Task<long> WorksAsync(PeerGroup group, int peer) => Eventually.BecomesAsync($"transactions at {peer}", async () =>
        (await group.ConsoleAsync(peer, "SHOW STATS")).Sum(static row => long.Parse(row["total_xact_count"]!, CultureInfo.InvariantCulture)), static count => count > 50);

    private async Task<PeerGroup> StartAsync()
    {
        var group = new PeerGroup(postgres, await postgres.CreateDatabaseAsync(), 4);
        await group.StartAsync(1);
        return group;
    }
}
