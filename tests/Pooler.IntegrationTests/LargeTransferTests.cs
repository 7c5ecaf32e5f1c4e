using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>What is larger than memory should be passes in pieces: resident memory stays where it was.</summary>
public sealed class LargeTransferTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const int Megabyte = 1 << 20;
    private const int LineLength = 1024;
    private const long AllowedGrowthKilobytes = 32 * 1024;

    [Theory]
    [InlineData(64)]
    public Task CopyInAndOut(int megabytes) => WithPoolerAsync(async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.QueryAsync("CREATE UNLOGGED TABLE copied (line text)");
        await CopyInAsync(wire, megabytes);
        await CopyOutAsync(wire, megabytes);
    });

    [Fact, Trait("Category", "Long")]
    public Task CopyInAndOutOfOneGigabyte() => CopyInAndOut(1024);

    [Theory]
    [InlineData(20)]
    public Task OneRow(int megabytes) => WithPoolerAsync(async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Query($"SELECT repeat('x', {megabytes * Megabyte})"));
        Assert.Equal('T', (await wire.ReadAsync())?.Type);
        Assert.Equal(('D', 2 + 4 + megabytes * Megabyte), await wire.ReadHeaderAsync());
        Assert.True(await wire.SkipAsync(6));
        Assert.True(await wire.SkipAsync(megabytes * Megabyte, (byte)'x'));
        Assert.Equal("CZ", (await wire.ReadReplyAsync()).Types);
    });

    [Fact, Trait("Category", "Long")]
    public Task OneRowOf200Megabytes() => OneRow(200);

    [Theory]
    [InlineData(20)]
    public Task OneParameter(int megabytes) => WithPoolerAsync(async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        int length = megabytes * Megabyte;

        // Bind: no portal name, no statement name, no format, one value, then its bytes, then no result format.
        await wire.SendAsync(new PgRequest().Parse("", "SELECT length($1::text)").Header('B', 4 + 1 + 1 + 2 + 2 + 4 + length + 2));
        await wire.SendAsync(new byte[] { 0, 0, 0, 0, 0, 1, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length });
        byte[] part = new byte[Megabyte];
        part.AsSpan().Fill((byte)'y');
        for (int i = 0; i < megabytes; i++)
            await wire.SendAsync(part);
        await wire.SendAsync(new byte[2]);
        await wire.SendAsync(new PgRequest().Execute().Sync());

        PgReply reply = await wire.ReadReplyAsync();
        Assert.Equal("12DCZ", reply.Types);
        Assert.Equal($"{length}", reply.Scalar);
    });

    [Fact, Trait("Category", "Long")]
    public Task OneParameterOf200Megabytes() => OneParameter(200);

    [Theory]
    [InlineData(20)]
    public Task OneQueryText(int megabytes) => WithPoolerAsync(async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Query($"SELECT length('{new string('z', megabytes * Megabyte)}')"));
        Assert.Equal($"{megabytes * Megabyte}", (await wire.ReadReplyAsync()).Scalar);
    });

    /// <summary>A client that takes nothing stops its server, and nobody else.</summary>
    [Fact]
    public Task AClientThatDoesNotReadHoldsBackItsServer() => WithPoolerAsync(async (pooler, database) =>
    {
        using PgWire idle = await pooler.LoginAsync(database);
        await idle.SendAsync(new PgRequest().Query($"SELECT repeat('x', 1000) FROM generate_series(1, {256 * 1024})"));
        await Eventually.EqualsAsync("the server waits for its client", 1L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND wait_event = 'ClientWrite'"));

        using PgWire other = await pooler.LoginAsync(database);
        Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);

        int rows = 0;
        while (await idle.ReadHeaderAsync() is var (type, length) && type != 'Z')
        {
            rows += type == 'D' ? 1 : 0;
            await idle.SkipAsync(length);
        }

        Assert.Equal(256 * 1024, rows);
    });

    private static async Task CopyInAsync(PgWire wire, int megabytes)
    {
        await wire.SendAsync(new PgRequest().Query("COPY copied FROM STDIN"));
        Assert.Equal('G', (await wire.ReadAsync())?.Type);

        // Lines and messages end at different places.
        byte[] lines = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(new string('x', LineLength - 1) + "\n", Megabyte / LineLength)));
        for (int i = 0; i < megabytes; i++)
        {
            await wire.SendAsync(new PgRequest().CopyData(lines.AsMemory(0, 100_001)).CopyData(lines.AsMemory(100_001, 1)));
            await wire.SendAsync(new PgRequest().CopyData(lines.AsMemory(100_002)));
        }

        await wire.SendAsync(new PgRequest().CopyDone());
        PgReply reply = await wire.ReadReplyAsync();
        Assert.Equal("CZ", reply.Types);
        Assert.Equal($"COPY {(long)megabytes * Megabyte / LineLength}", reply.Messages[0].Text());
    }

    private static async Task CopyOutAsync(PgWire wire, int megabytes)
    {
        await wire.SendAsync(new PgRequest().Query("COPY copied TO STDOUT"));
        long bytes = 0;
        string types = "";
        while (await wire.ReadHeaderAsync() is var (type, length))
        {
            if (type == 'd')
            {
                bytes += length;
                Assert.True(await wire.SkipAsync(length - 1, (byte)'x') && await wire.SkipAsync(1, (byte)'\n'));
                continue;
            }

            types += type;
            await wire.SkipAsync(length);
            if (type == 'Z')
                break;
        }

        Assert.Equal("HcCZ", types);
        Assert.Equal((long)megabytes * Megabyte, bytes);
    }

    private async Task WithPoolerAsync(Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using (PgWire warm = await pooler.LoginAsync(database))
        {
            // Its working set of buffers and code is not growth.
            for (int i = 0; i < 20; i++)
                await warm.QueryAsync("SELECT repeat('x', 1000) FROM generate_series(1, 1000)");
        }

        long before = pooler.ResidentKilobytes;
        await test(pooler, database);
        long growth = pooler.PeakResidentKilobytes - before;
        output.WriteLine($"resident memory {before} kB, at its peak {growth} kB more");
        Assert.InRange(growth, long.MinValue, AllowedGrowthKilobytes);
    }
}
