using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Pooler.IntegrationTests;

/// <summary>Protocol 3.2 towards servers: asked for, negotiated, refused; cancel keys of every length.</summary>
public sealed class ProtocolVersionTests(PostgresVersions versions)
{
    [Theory]
    [InlineData(4)]
    [InlineData(32)]
    [InlineData(256)]
    public async Task ACancelCarriesTheServersKey(int secretLength)
    {
        byte[] key = [0, 0, 0, 7, .. RandomNumberGenerator.GetBytes(secretLength)];
        var canceled = new TaskCompletionSource<byte[]>();
        var running = new TaskCompletionSource();
        await using var server = new FakeServer(async connection =>
        {
            byte[] startup = await connection.ReadStartupAsync();
            if (BinaryPrimitives.ReadInt32BigEndian(startup) == PgRequest.CancelCode)
            {
                canceled.SetResult(startup[4..]);
                return;
            }

            Assert.Equal(PgRequest.Protocol32, BinaryPrimitives.ReadInt32BigEndian(startup));
            await connection.SendAsync(FakeConnection.Welcome(key));
            await connection.ReadAsync();
            running.SetResult();
            await canceled.Task;
            await connection.SendAsync(FakeConnection.Error("ERROR", "57014", "stopped").Message('Z', static body => PgRequest.WriteByte(body, (byte)'I')));
            await connection.ReadAsync();
        });
        await using PoolerProcess pooler = await StartAsync(server);
        using PgWire wire = await pooler.LoginAsync("d");
        await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await running.Task.WaitAsync(Patience.Default);
        using PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint);
        await cancel.SendAsync(PgRequest.Cancel(wire.Key));
        Assert.Empty(await cancel.ReadToEndAsync());
        Assert.Equal(key, await canceled.Task.WaitAsync(Patience.Default));
        Assert.Equal("57014", (await wire.ReadReplyAsync()).Error?.SqlState);
    }

    /// <summary>Some that speak the protocol refuse a newer one instead of naming theirs: they are asked for 3.0, this time and from then on.</summary>
    [Theory]
    [InlineData("0A000")]
    [InlineData("08P01")]
    [InlineData("")]
    public async Task AServerThatRefusesIsAskedForLess(string sqlState)
    {
        var asked = new List<int>();
        await using var server = new FakeServer(async connection =>
        {
            int version = BinaryPrimitives.ReadInt32BigEndian(await connection.ReadStartupAsync());
            lock (asked)
                asked.Add(version & 0xFFFF);
            if (version != PgRequest.Protocol30)
            {
                if (sqlState.Length > 0)
                    await connection.SendAsync(FakeConnection.Error("FATAL", sqlState, "unsupported frontend protocol 3.2: server supports 1.0 to 3.0"));
                return;
            }

            await connection.SendAsync(FakeConnection.Welcome());
            while (await connection.ReadAsync() is { Type: 'Q' })
                await connection.SendAsync(new PgRequest().Message('C', static body => PgRequest.WriteText(body, "BEGIN")).Message('Z', static body => PgRequest.WriteByte(body, (byte)'T')));
        });
        await using PoolerProcess pooler = await StartAsync(server);
        using PgWire first = await pooler.LoginAsync("d"), second = await pooler.LoginAsync("d");
        Assert.Equal("CZ", (await first.QueryAsync("BEGIN")).Types);
        Assert.Equal("CZ", (await second.QueryAsync("BEGIN")).Types);
        lock (asked)
            Assert.Equal([2, 0, 0], asked);
    }

    [Theory]
    [InlineData(3 << 16, 0, true)]
    [InlineData((3 << 16) + 1, 0, true)]
    [InlineData(0, 0, true)]
    [InlineData(2, 0, false)]
    [InlineData(-1, 0, false)]
    [InlineData((3 << 16) + 2, 0, false)]
    [InlineData((3 << 16) + 9, 0, false)]
    [InlineData(2 << 16, 0, false)]
    [InlineData(3 << 16, 1, false)]
    public async Task TheServersVersionIsTakenIfItIsOlder(int version, int options, bool isSound)
    {
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(new PgRequest().Message('v', body =>
            {
                PgRequest.WriteInt32(body, version);
                PgRequest.WriteInt32(body, options);
                if (options > 0)
                    PgRequest.WriteText(body, "_pq_.nobody_asked");
            }));
            await connection.SendAsync(FakeConnection.Welcome());
            await connection.ReadAsync();
        });
        await using PoolerProcess pooler = await StartAsync(server);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply reply = await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"));
        Assert.Equal(isSound ? 'Z' : 'E', reply.Messages[^1].Type);
    }

    /// <summary>PostgreSQL 18 itself, which gives keys of 32 bytes, and its libpq.</summary>
    [Fact]
    public async Task Postgres18AndItsLibpq()
    {
        PostgresCluster postgres = await versions.GetAsync(18);
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        string libpq = Path.GetFullPath(Path.Combine(PostgresVersions.ProgramsOf(18)!, "..", "lib"));
        foreach (string version in (string[])["3.0", "3.2", "latest"])
        {
            await using ChildProcess psql = ChildProcess.Start(pooler.Folder, "env", $"LD_LIBRARY_PATH={libpq}", Path.Combine(PostgresCluster.Programs, "psql"),
                "-X", "-A", "-t", "-d", pooler.LibpqString(database) + $" max_protocol_version={version}", "-c", "SELECT pg_sleep(60) /* victim */", "-c", "SELECT 'after'");
            await Eventually.BecomesAsync("the query runs, or psql has something to say", async () => (psql.Log, Count: await postgres.ScalarAsync<long>(PostgresCluster.Superuser,
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* victim */' AND pid <> pg_backend_pid()")), static seen => seen.Log.Length > 0 || seen.Count == 1);
            psql.Send(ChildProcess.Signal.Int);
            Assert.True(await psql.WaitForExitAsync(Patience.Default), psql.Log);
            Assert.Contains("ERROR:  canceling statement due to user request", psql.Log, StringComparison.Ordinal);
        }
    }

    private static Task<PoolerProcess> StartAsync(FakeServer server)
    {
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={server.Port}";
        return PoolerProcess.StartAsync(ini);
    }
}
