using System.Diagnostics;

namespace Pooler.IntegrationTests;

public sealed class ManyClientsTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const int LoginsAtOnce = 32;

    [Theory]
    [InlineData(1000)]
    public async Task IdleClientsCostLittleAndLeaveNothing(int count)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["max_client_conn"] = $"{count + 100}";
            ini.Settings["listen_backlog"] = "4096";
            ini.Settings["log_connections"] = ini.Settings["log_disconnections"] = "0";
        });
        using PgWire witness = await pooler.LoginAsync(database);
        await witness.QueryAsync("SELECT 1");
        long memory = pooler.ResidentKilobytes;
        int descriptors = pooler.FileDescriptorCount;
        int threads = pooler.ThreadCount;

        var clients = new PgWire[count];
        try
        {
            long start = Stopwatch.GetTimestamp();
            int next = -1;
            await Task.WhenAll(Enumerable.Range(0, LoginsAtOnce).Select(async _ =>
            {
                for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                {
                    clients[i] = await PgWire.ConnectAsync(pooler.EndPoint);
                    await clients[i].LoginAsync(database, PostgresCluster.User);
                }
            }));
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            double each = (pooler.ResidentKilobytes - memory) / (double)count;
            output.WriteLine($"{count} clients: {count / seconds:0} logins/s, {each:0.00} kB resident each, {pooler.ThreadCount} threads");

            Assert.True(pooler.FileDescriptorCount >= descriptors + count);
            Assert.InRange(pooler.ThreadCount, 1, threads + 8);
            Assert.InRange(each, double.MinValue, 8);
            Assert.InRange(await postgres.CountServersAsync(database), 1, 20);
            Assert.Equal("1", (await witness.QueryAsync("SELECT 1")).Scalar);

            // Any of them can still work.
            for (int i = 0; i < count; i += Math.Max(1, count / 100))
                Assert.Equal($"{i}", (await clients[i].QueryAsync($"SELECT {i}")).Scalar);
        }
        finally
        {
            foreach (PgWire? client in clients)
                client?.Dispose();
        }

        await Eventually.BecomesAsync("descriptors are given back", () => Task.FromResult(pooler.FileDescriptorCount), now => now <= descriptors + 20);
        Assert.Equal("1", (await witness.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact, Trait("Category", "Long")]
    public async Task FifteenThousandIdleClients()
    {
        const int Count = 15_000;
        long limit = long.Parse(File.ReadLines("/proc/self/limits").First(static line => line.StartsWith("Max open files", StringComparison.Ordinal))[38..58].Trim());
        Assert.SkipWhen(limit < Count + 1000, $"only {limit} file descriptors here");
        await IdleClientsCostLittleAndLeaveNothing(Count);
    }

    [Fact]
    public async Task OneClientTooManyIsToldSo()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["max_client_conn"] = "3");
        using PgWire one = await pooler.LoginAsync(database);
        using PgWire two = await pooler.LoginAsync(database);
        using PgWire three = await pooler.LoginAsync(database);

        using (PgWire tooMany = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await tooMany.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
            PgMessage error = (await tooMany.ReadToEndAsync()).Single();
            Assert.Equal("FATAL", error.Fields()['S']);
            Assert.Contains("no more connections allowed", error.Fields()['M'], StringComparison.Ordinal);
        }

        Assert.Equal("1", (await one.QueryAsync("SELECT 1")).Scalar);
        three.Dispose();
        await Eventually.BecomesAsync("the place is free again", async () =>
        {
            using PgWire next = await PgWire.ConnectAsync(pooler.EndPoint);
            await next.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
            return (await next.ReadAsync())?.Type;
        }, static type => type == 'R');
    }
}
