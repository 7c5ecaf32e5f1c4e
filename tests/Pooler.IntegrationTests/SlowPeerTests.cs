using System.Buffers;

namespace Pooler.IntegrationTests;

/// <summary>Peers that send byte by byte, stop in the middle, or stop reading: memory stays bounded and the server is freed.</summary>
public sealed class SlowPeerTests(PostgresCluster postgres)
{
    private const long AllowedGrowthKilobytes = 24 * 1024;

    private static readonly byte[] Reply = new PgRequest()
        .Message('T', static body => PgRequest.WriteInt16(body, 0))
        .Message('S', static body =>
        {
            PgRequest.WriteText(body, "is_superuser");
            PgRequest.WriteText(body, "off");
        })
        .Message('D', static body => PgRequest.WriteInt16(body, 0))
        .Message('C', static body => PgRequest.WriteText(body, "SELECT 1"))
        .Message('Z', static body => PgRequest.WriteByte(body, (byte)'I'))
        .ToArray();

    /// <summary>Welcome and replies, a byte in each segment.</summary>
    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public async Task AServerThatSendsByteByByte(string mode)
    {
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await DripAsync(connection, FakeConnection.Welcome().ToArray());
            while (await connection.ReadAsync() is { Type: 'Q' })
                await DripAsync(connection, Reply);
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, ini => ini.Settings["pool_mode"] = mode);
        for (int round = 0; round < 3; round++)
        {
            using PgWire client = await pooler.LoginAsync("d");
            Assert.Equal("TSDCZ", (await client.QueryAsync("SELECT 1")).Types);
            Assert.Equal("TSDCZ", (await client.QueryAsync("SELECT 2")).Types);
        }

        Assert.Equal(1, server.Accepted);

        static async Task DripAsync(FakeConnection connection, byte[] bytes)
        {
            foreach (byte value in bytes)
                await connection.SendAsync([value]);
        }
    }

    /// <summary>A message that fits into the look-ahead is waited for without a server: the only one stays free for others.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(20)]
    [InlineData(10_000)]
    public async Task AClientThatStopsInAShortMessageHoldsNoServer(int sent)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire slow = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        byte[] query = new PgRequest().Query("SELECT 'whole'" + new string(' ', 12_000)).ToArray();
        await slow.SendAsync(query.AsMemory(0, sent));
        for (int i = 0; i < 3; i++)
            Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
        await slow.SendAsync(query.AsMemory(sent));
        Assert.Equal("whole", (await slow.ReadReplyAsync()).Scalar);
    }

    /// <summary>A longer one is on its way to the server already: query_timeout ends the wait for the rest, in a COPY too.</summary>
    [Theory]
    [InlineData("a query")]
    [InlineData("a value")]
    [InlineData("COPY data")]
    [InlineData("COPY, between frames")]
    public async Task AClientThatStopsInALongMessageLosesItsServer(string where)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["query_timeout"] = "1");
        using PgWire slow = await pooler.LoginAsync(database);
        await slow.QueryAsync("CREATE TABLE t (line text)");
        byte[] half = new byte[50_000];
        switch (where)
        {
            case "a query":
                await slow.SendAsync(new PgRequest().Header('Q', 100_000));
                await slow.SendAsync(half);
                break;
            case "a value":
                await slow.SendAsync(new PgRequest().Parse("", "SELECT $1::text").Header('B', 100_000));
                await slow.SendAsync(half);
                break;
            default:
                await slow.SendAsync(new PgRequest().Query("COPY t FROM STDIN"));
                Assert.Equal('G', (await slow.ReadAsync())!.Value.Type);
                await slow.SendAsync(where == "COPY data" ? new PgRequest().Header('d', 100_000) : new PgRequest().CopyData("line\n"u8.ToArray()));
                if (where == "COPY data")
                    await slow.SendAsync(half);
                break;
        }

        Assert.Equal("query timeout", (await slow.ReadFatalAsync()).Fields()['M']);
        using (PgWire next = await pooler.LoginAsync(database))
            Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM t")).Scalar);
        await Eventually.BecomesAsync("nobody is left", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
    }

    /// <summary>It takes a COPY and reads nothing of it: the client is held back, and in the end the server is given up.</summary>
    [Fact]
    public async Task AServerThatStopsReading()
    {
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Welcome());
            await connection.ReadAsync();
            await connection.SendAsync(connection.Number > 1 ? Reply : new PgRequest().Message('G', static body => body.Write(new byte[3])).ToArray());
            await Task.Delay(Timeout.Infinite);
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, static ini =>
        {
            ini.Settings["query_timeout"] = "3";
            ini.Settings["server_cleanup_timeout"] = "0.5";
        });
        long before = pooler.ResidentKilobytes;
        using (PgWire client = await pooler.LoginAsync("d"))
        {
            client.ReadLimit = TimeSpan.FromSeconds(1);
            await client.SendAsync(new PgRequest().Query("COPY t FROM STDIN"));
            Assert.Equal('G', (await client.ReadAsync())!.Value.Type);
            byte[] frame = new PgRequest().CopyData(new byte[1 << 20]).ToArray();
            await Assert.ThrowsAsync<TimeoutException>(async () =>
            {
                for (int i = 0; i < 256; i++)
                    await client.SendAsync(frame);
            });
            Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
            client.ReadLimit = Patience.Default;
            Assert.Equal("query timeout", (await client.ReadFatalAsync()).Fields()['M']);
        }

        using PgWire next = await pooler.LoginAsync("d");
        Assert.Equal("TSDCZ", (await next.QueryAsync("SELECT 1")).Types);
        Assert.Equal(2, server.Accepted);
    }

    /// <summary>Many at once that ask for much and take nothing: each costs a bounded outbox, and loses its server.</summary>
    [Fact]
    public async Task ManyClientsThatStopReading()
    {
        const int Many = 40, Servers = 4;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: Servers, adjust: static ini => ini.Settings["client_write_timeout"] = "0.3");
        using (PgWire first = await pooler.LoginAsync(database))
            await first.QueryAsync("SELECT 1");
        long before = pooler.ResidentKilobytes;
        var stuck = new List<PgWire>();
        for (int i = 0; i < Many; i++)
        {
            stuck.Add(await pooler.LoginAsync(database));
            await stuck[i].SendAsync(new PgRequest().Query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)"));
        }

        using (PgWire next = await pooler.LoginAsync(database))
            Assert.Equal("served", (await next.QueryAsync("SELECT 'served'")).Scalar);
        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, AllowedGrowthKilobytes);
        await Eventually.BecomesAsync("nobody is left", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
        stuck.ForEach(static wire => wire.Dispose());
    }

    private static async Task<PoolerProcess> StartBeforeAsync(int port, Action<PoolerIni> adjust)
    {
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={port} pool_size=1";
        adjust(ini);
        return await PoolerProcess.StartAsync(ini);
    }
}
