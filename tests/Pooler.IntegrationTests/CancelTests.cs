using System.Security.Cryptography;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>CancelRequests of real clients: each hits the query it was meant for, or nothing.</summary>
public sealed class CancelTests(PostgresCluster postgres)
{
    private const string Canceled = "canceling statement due to user request";

    [Theory]
    [InlineData("session")]
    [InlineData("transaction")]
    [InlineData("statement")]
    public async Task ACancelReachesTheRunningQueryAlone(string mode)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 4);
        await using var other = new NpgsqlConnection(pooler.NpgsqlString(database));
        await other.OpenAsync();
        await using var otherCommand = new NpgsqlCommand("SELECT pg_sleep(2)::text", other);
        Task<object?> undisturbed = otherCommand.ExecuteScalarAsync();

        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT pg_sleep(60) /* victim */", connection);
        using var cancel = new CancellationTokenSource();
        Task running = command.ExecuteNonQueryAsync(cancel.Token);
        await VictimRunsAsync(database);
        await cancel.CancelAsync();

        OperationCanceledException canceled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal(PostgresErrorCodes.QueryCanceled, Assert.IsType<PostgresException>(canceled.InnerException).SqlState);
        await using var after = new NpgsqlCommand("SELECT 1", connection);
        Assert.Equal(1, await after.ExecuteScalarAsync());
        Assert.Equal("", await undisturbed);
    }

    /// <summary>Ctrl-C in psql: libpq's PQcancel, while the query runs and while it waits for a server.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task PsqlIsInterrupted(bool isWaiting)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire other = await pooler.LoginAsync(database);
        if (isWaiting)
            await other.QueryAsync("BEGIN");
        await using ChildProcess psql = ChildProcess.Start(pooler.Folder, Path.Combine(PostgresCluster.Programs, "psql"),
            "-X", "-A", "-t", "-d", pooler.LibpqString(database), "-c", "SELECT pg_sleep(60) /* victim */", "-c", "SELECT 'after'");
        if (isWaiting)
            await pooler.WaitersAreAsync(1);
        else
            await VictimRunsAsync(database);
        psql.Send(ChildProcess.Signal.Int);
        await Eventually.BecomesAsync("psql tells", () => Task.FromResult(psql.Log), static log => log.Contains(Canceled, StringComparison.Ordinal));
        if (isWaiting)
            await other.QueryAsync("COMMIT");
        Assert.True(await psql.WaitForExitAsync(Patience.Default), psql.Log);
        Assert.Contains("ERROR:  " + Canceled, psql.Log, StringComparison.Ordinal);
        Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
    }

    /// <summary>Extended protocol in the queue: Npgsql gets the error it expects and its connection stays usable.</summary>
    [Fact]
    public async Task NpgsqlCancelsWhileItWaits()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire other = await pooler.LoginAsync(database);
        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database));
        await connection.OpenAsync();
        await other.QueryAsync("BEGIN");
        await using var command = new NpgsqlCommand("SELECT 1", connection);
        using var cancel = new CancellationTokenSource();
        Task running = command.ExecuteNonQueryAsync(cancel.Token);
        await pooler.WaitersAreAsync(1);
        await cancel.CancelAsync();
        OperationCanceledException canceled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal(PostgresErrorCodes.QueryCanceled, Assert.IsType<PostgresException>(canceled.InnerException).SqlState);

        await other.QueryAsync("COMMIT");
        Assert.Equal(1, await command.ExecuteScalarAsync());
    }

    /// <summary>
    /// A cancel that comes as its query ends, with another client waiting for the same server: whoever is hit, it is not the other.
    /// </summary>
    [Fact]
    public async Task ALateCancelNeverHitsTheNextClient()
    {
        const int rounds = 300;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["workers"] = "2");
        using PgWire first = await pooler.LoginAsync(database), next = await pooler.LoginAsync(database);
        int hits = 0;
        for (int round = 0; round < rounds; round++)
        {
            using PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint);
            using var barrier = new Barrier(2);
            await first.SendAsync(new PgRequest().Query("SELECT pg_sleep(0.002)"));
            await next.SendAsync(new PgRequest().Query("SELECT pg_sleep(0.004), 'mine'"));
            Task<PgReply> reply = Task.Run(() =>
            {
                barrier.SignalAndWait();
                return first.ReadReplyAsync();
            });
            barrier.SignalAndWait();
            await cancel.SendAsync(PgRequest.Cancel(first.Key));
            Assert.Empty(await cancel.ReadToEndAsync());
            PgReply seen = await reply;
            hits += seen.Error?.SqlState == PostgresErrorCodes.QueryCanceled ? 1 : 0;
            Assert.True(seen.Error is null or { SqlState: PostgresErrorCodes.QueryCanceled }, $"{seen}");
            PgReply others = await next.ReadReplyAsync();
            Assert.True(others.Error is null && others.Rows.Single()[1] == "mine", $"round {round}: {others}");
        }

        // Both happened, or the rounds have shown nothing.
        Assert.InRange(hits, 1, rounds - 1);
    }

    /// <summary>The query is over before the cancel is sent, and the next client has the server.</summary>
    [Fact]
    public async Task ACancelBehindItsQueryHitsNobody()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire first = await pooler.LoginAsync(database), next = await pooler.LoginAsync(database);
        for (int round = 0; round < 100; round++)
        {
            await first.QueryAsync("SELECT 1");
            await next.SendAsync(new PgRequest().Query("SELECT pg_sleep(0.005), 'mine'"));
            await CancelAsync(pooler, PgRequest.Cancel(first.Key));
            PgReply others = await next.ReadReplyAsync();
            Assert.True(others.Error is null && others.Rows.Single()[1] == "mine", $"round {round}: {others}");
        }
    }

    /// <summary>Nobody finds a key by trying, and trying costs nobody else anything.</summary>
    [Fact]
    public async Task AStormOfRandomCancelsDoesNothing()
    {
        const int cancels = 10_000, atOnce = 50;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 4, adjust: static ini => ini.Settings["peer_id"] = "77");
        using PgWire victim = await pooler.LoginAsync(database), modern = await PgWire.ConnectAsync(pooler.EndPoint);
        await modern.LoginAsync(PgRequest.Protocol32, database, PostgresCluster.User);
        Assert.Equal((8, 36), (victim.Key.Length, modern.Key.Length));
        Assert.Equal((77, 77), (PeerGroup.PeerOf(victim), PeerGroup.PeerOf(modern)));
        await victim.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* victim */"));
        await modern.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* victim */"));
        await VictimRunsAsync(database, 2);
        int descriptors = pooler.FileDescriptorCount;

        await Task.WhenAll(Enumerable.Range(0, atOnce).Select(async worker =>
        {
            for (int i = worker; i < cancels; i += atOnce)
                await CancelAsync(pooler, PgRequest.Cancel(Guess(i % 2 == 0 ? victim.Key : modern.Key, i)));
        }));

        Assert.Equal(2, await VictimsAsync(database));
        await Eventually.BecomesAsync("the connections are closed", () => Task.FromResult(pooler.FileDescriptorCount), count => count <= descriptors + 2);
        foreach (PgWire wire in (PgWire[])[victim, modern])
        {
            await CancelAsync(pooler, PgRequest.Cancel(wire.Key));
            Assert.Equal(PostgresErrorCodes.QueryCanceled, (await wire.ReadReplyAsync()).Error?.SqlState);
            Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
        }
    }

    /// <summary>SHOW POOLS while a server does not confirm a cancel, and after its query has ended all the same.</summary>
    [Fact]
    public async Task TheConsoleTellsOfCancels()
    {
        TaskCompletionSource answer = new(), confirm = new();
        await using var server = new FakeServer(async connection =>
        {
            byte[] startup = await connection.ReadStartupAsync();
            if (startup.Length == 12)
            {
                await confirm.Task;
                return;
            }

            await connection.SendAsync(FakeConnection.Welcome());
            await connection.ReadAsync();
            await answer.Task;
            await connection.SendAsync(new PgRequest().Message('C', static body => PgRequest.WriteText(body, "SELECT 0")).Message('Z', static body => PgRequest.WriteByte(body, (byte)'I')));
            await connection.ReadAsync();
        });
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={server.Port}";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire wire = await pooler.LoginAsync("d"), cancel = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await Eventually.EqualsAsync("it runs", "1 0 0 0 0", () => CancelsAsync(pooler));
        await cancel.SendAsync(PgRequest.Cancel(wire.Key));
        await Eventually.EqualsAsync("the cancel is under way", "1 1 0 1 0", () => CancelsAsync(pooler));
        using PgWire second = await PgWire.ConnectAsync(pooler.EndPoint);
        await second.SendAsync(PgRequest.Cancel(wire.Key));
        await Eventually.EqualsAsync("another waits", "1 1 1 1 0", () => CancelsAsync(pooler));
        List<Dictionary<string, string?>> requests = [.. (await pooler.ConsoleAsync("SHOW CLIENTS")).Where(static row => row["user"] == "(nouser)")];
        Assert.Equal(["active_cancel_req", "waiting_cancel_req"], requests.Select(static row => row["state"]).Order());
        Assert.All(requests, row => Assert.Equal(("d", "127.0.0.1", $"{pooler.Port}"), (row["database"], row["addr"], row["local_port"])));
        answer.SetResult();
        Assert.Equal("CZ", (await wire.ReadReplyAsync()).Types);
        await Eventually.EqualsAsync("the server waits for its end", "0 1 0 1 1", () => CancelsAsync(pooler));
        Assert.Contains(await pooler.ConsoleAsync("SHOW SERVERS"), static row => row["state"] == "being_canceled");
        confirm.SetResult();
        Assert.Empty(await cancel.ReadToEndAsync());
        await Eventually.EqualsAsync("nothing is left", "0 0 0 0 0", () => CancelsAsync(pooler));
    }

    private static async Task<string> CancelsAsync(PoolerProcess pooler)
    {
        Dictionary<string, string?> row = (await pooler.ConsoleAsync("SHOW POOLS")).Single(static row => row["database"] == "d");
        return string.Join(' ', ((string[])["sv_active", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_being_canceled"]).Select(name => row[name]));
    }

    /// <summary>A right key but for a part of it, one of another node, and what is no key at all.</summary>
    private static byte[] Guess(byte[] key, int number)
    {
        byte[] guess = [.. key];
        switch (number % 10)
        {
            case 0 or 1:
                guess[1 + (number / 10 % 2)] ^= 0x10; // Another node.
                return guess;
            case 2 or 3:
                return guess[..^1];
            case 4 or 5:
                return [.. guess, .. RandomNumberGenerator.GetBytes(1 + (number % 200))];
            case 6 or 7:
                guess[4 + (number / 10 % (key.Length - 4))] ^= (byte)(4 << (number % 6)); // The last two bits of the eighth byte say nothing of whose key it is.
                return guess;
            default:
                RandomNumberGenerator.Fill(guess.AsSpan(4));
                return guess;
        }
    }

    private static async Task CancelAsync(PoolerProcess pooler, byte[] request)
    {
        using PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint);
        await cancel.SendAsync(request);
        Assert.Empty(await cancel.ReadToEndAsync());
    }

    private Task<long> VictimRunsAsync(string database, long count = 1) => Eventually.EqualsAsync("the query runs", count, () => VictimsAsync(database));

    private Task<long> VictimsAsync(string database) => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
        $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%victim%'");
}
