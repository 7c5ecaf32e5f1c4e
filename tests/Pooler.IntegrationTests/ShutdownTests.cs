using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>The end of the process by signal and by the console: who is waited for, and what clients are told.</summary>
public sealed class ShutdownTests(PostgresCluster postgres)
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WaitForClientsWorksOnUntilTheLastHasLeft(bool bySignal)
    {
        await using Running running = await Running.StartAsync(postgres);
        using PgWire client = await running.LoginAsync();
        await running.StopAsync(bySignal ? ChildProcess.Signal.Term : null, "WAIT_FOR_CLIENTS");
        await running.NobodyListensAsync();
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        await client.QueryAsync("BEGIN");
        await client.QueryAsync("COMMIT");
        ConsoleTests.AssertError(await running.ConsoleAsync("RESUME"), "pooler is shutting down");
        PgMessage refusal = await running.LoginOverUnixAsync();
        Assert.Equal(("57P01", "pooler is shutting down"), (refusal.SqlState, refusal.Fields()['M']));
        client.Dispose();
        await running.EndsAsync("client connections dropped, exiting");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WaitForServersEndsIdleClientsAtOnceAndOthersBehindTheirTransaction(bool bySignal)
    {
        await using Running running = await Running.StartAsync(postgres, poolSize: 1);
        using PgWire idle = await running.LoginAsync(), busy = await running.LoginAsync(), waiting = await running.LoginAsync();
        await busy.QueryAsync("BEGIN");
        await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
        await Eventually.EqualsAsync("one waits", 1, async () => (await running.Pooler.PoolCountsAsync(running.Database)).ClientsWaiting);
        await running.StopAsync(bySignal ? ChildProcess.Signal.Int : null, "WAIT_FOR_SERVERS");
        await ConsoleCommandTests.AssertFatalAsync(idle, "57P01", "server shutting down");
        await ConsoleCommandTests.AssertFatalAsync(waiting, "57P01", "server shutting down");
        await running.NobodyListensAsync();
        Assert.Equal("2", (await busy.QueryAsync("SELECT 2")).Scalar);
        Assert.Equal('I', (await busy.QueryAsync("COMMIT")).TransactionStatus);
        await ConsoleCommandTests.AssertFatalAsync(busy, "57P01", "server shutting down");
        await running.EndsAsync("server connections dropped, exiting");
    }

    [Theory]
    [InlineData("Quit", null)]
    [InlineData("Int", "Int")]
    [InlineData("Term", "Term")]
    [InlineData("Term", "Int")]
    public async Task AFastExitTellsClientsAndDoesNotSayThatACommitFailed(string first, string? second)
    {
        await using Running running = await Running.StartAsync(postgres);
        using PgWire idle = await running.LoginAsync(), inTransaction = await running.LoginAsync(), busy = await running.LoginAsync();
        await inTransaction.QueryAsync("BEGIN");
        await busy.SendAsync(new PgRequest().Query("SELECT pg_sleep(600)"));
        await Eventually.EqualsAsync("both have servers", 2, async () => (await running.Pooler.PoolCountsAsync(running.Database)).ServersActive);
        running.Pooler.Send(Enum.Parse<ChildProcess.Signal>(first));
        if (second != null)
        {
            await running.LogsAsync(", shutting down, ");
            running.Pooler.Send(Enum.Parse<ChildProcess.Signal>(second));
        }

        if (first != "Int")
            await ConsoleCommandTests.AssertFatalAsync(idle, "57P01", "pooler is shutting down");
        await ConsoleCommandTests.AssertFatalAsync(inTransaction, "57P01", "pooler is shutting down");
        await ConsoleCommandTests.AssertFatalAsync(busy, "08007", "pooler is shutting down (the outcome of the request is unknown)");
        await running.EndsAsync("fast exit");
    }

    [Fact]
    public async Task ShutdownOnTheConsoleHasNoAnswerButTheEnd()
    {
        await using Running running = await Running.StartAsync(postgres);
        using PgWire console = await running.Pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await console.SendAsync(new PgRequest().Query("SHUTDOWN"));
        await running.EndsAsync("SHUTDOWN command issued");
        Assert.Empty(await console.ReadToEndAsync());
    }

    [Fact]
    public async Task AStopThatLastsTooLongGoesAStepFurther()
    {
        await using Running running = await Running.StartAsync(postgres, adjust: static ini => ini.Settings["shutdown_timeout"] = "0.3");
        using PgWire idle = await running.LoginAsync(), inTransaction = await running.LoginAsync();
        await inTransaction.QueryAsync("BEGIN");
        running.Pooler.Send(ChildProcess.Signal.Term);
        await ConsoleCommandTests.AssertFatalAsync(idle, "57P01", "server shutting down");
        await ConsoleCommandTests.AssertFatalAsync(inTransaction, "57P01", "pooler is shutting down");
        await running.EndsAsync("shutdown_timeout: transactions are still open");
    }

    [Fact]
    public async Task TheSignalOfResumeIsIgnoredOnTheWay()
    {
        await using Running running = await Running.StartAsync(postgres);
        using PgWire busy = await running.LoginAsync();
        await busy.QueryAsync("BEGIN");
        running.Pooler.Send(ChildProcess.Signal.Int);
        await running.LogsAsync("got SIGINT, shutting down");
        running.Pooler.Send(ChildProcess.Signal.Usr2);
        await running.LogsAsync("got SIGUSR2 while shutting down, ignoring");
        await busy.QueryAsync("COMMIT");
        await running.EndsAsync("server connections dropped, exiting");
    }

    /// <summary>A pooler that ends by itself.</summary>
    private sealed class Running(PoolerProcess pooler, string database) : IAsyncDisposable
    {
        public PoolerProcess Pooler => pooler;

        public string Database => database;

        public static async Task<Running> StartAsync(PostgresCluster postgres, int poolSize = 20, Action<PoolerIni>? adjust = null)
        {
            string database = await postgres.CreateDatabaseAsync();
            return new Running(await PoolerProcess.StartAsync(postgres, database, poolSize: poolSize, adjust: adjust), database);
        }

        public Task<PgWire> LoginAsync() => pooler.LoginAsync(database);

        public async Task StopAsync(ChildProcess.Signal? signal, string word)
        {
            if (signal is { } one)
                pooler.Send(one);
            else
                Assert.Equal("SHUTDOWN", (await ConsoleAsync($"SHUTDOWN {word}")).Messages[0].Text());
        }

        /// <summary>The console is reached over the Unix socket to the end.</summary>
        public async Task<PgReply> ConsoleAsync(string command)
        {
            using PgWire console = await PgWire.ConnectAsync(pooler.UnixEndPoint);
            await console.LoginAsync("pgbouncer", PoolerIni.Admin);
            return await console.QueryAsync(command);
        }

        public async Task<PgMessage> LoginOverUnixAsync()
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.UnixEndPoint);
            await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
            return (await wire.ReadToEndAsync()).Single(static m => m.Type == 'E');
        }

        public Task<bool> NobodyListensAsync() => Eventually.EqualsAsync("nobody listens", true, async () =>
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(pooler.EndPoint);
                return false;
            }
            catch (SocketException)
            {
                return true;
            }
        });

        public Task<string> LogsAsync(string text) => Eventually.BecomesAsync(text, () => Task.FromResult(pooler.Log), log => log.Contains(text, StringComparison.Ordinal));

        public async Task EndsAsync(string lastWords)
        {
            Assert.True(await pooler.WaitForExitAsync(Patience.Default), pooler.Log);
            Assert.Equal(0, pooler.ExitCode);
            Assert.Contains(lastWords, pooler.Log, StringComparison.Ordinal);
            Assert.DoesNotContain("defect", pooler.Log, StringComparison.Ordinal);
            Assert.False(File.Exists(pooler.UnixEndPoint.ToString()));
        }

        public async ValueTask DisposeAsync() => await pooler.EndAsync();
    }
}
