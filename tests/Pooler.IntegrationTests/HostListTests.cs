using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Several hosts in one entry, without routing: PgBouncer's load_balance_hosts.</summary>
public sealed class HostListTests(PostgresCluster postgres)
{
    private const string Way = "SELECT coalesce(host(inet_client_addr()), 'unix')";

    [Fact]
    public async Task EachNewServerGoesToTheNextHost()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 4, adjust: ini =>
            ini.Databases[database] = $"host=127.0.0.1,{postgres.Folder} port={postgres.Port} dbname={database}");
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => pooler.LoginAsync(database)));
        await Task.WhenAll(clients.Select(static wire => wire.QueryAsync("BEGIN")));
        var ways = new List<string?>();
        foreach (PgWire client in clients)
        {
            ways.Add((await client.QueryAsync(Way)).Scalar);
            client.Dispose();
        }

        Assert.Equal(["127.0.0.1", "127.0.0.1", "unix", "unix"], ways.Order(StringComparer.Ordinal));
        Dictionary<string, string?> entry = (await pooler.ConsoleAsync("SHOW DATABASES")).Single(row => row["name"] == database);
        Assert.Equal(($"127.0.0.1,{postgres.Folder}", "round-robin"), (entry["host"], entry["load_balance_hosts"]));
    }

    [Fact]
    public async Task OneHostIsUsedUntilItFails()
    {
        string database = await postgres.CreateDatabaseAsync();
        int dead = FreePort.Next();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 4, adjust: ini =>
            ini.Databases[database] = $"host=127.0.0.1,127.0.0.1,{postgres.Folder} port={dead},{postgres.Port},{postgres.Port} "
                + $"dbname={database} load_balance_hosts=disable");
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(pooler.NpgsqlString(database));
        PostgresException refused = await Assert.ThrowsAsync<PostgresException>(() => source.OpenConnectionAsync().AsTask());
        Assert.Contains($"server connect failed: 127.0.0.1:{dead}", refused.MessageText, StringComparison.Ordinal);

        await Eventually.EqualsAsync("the next host is taken", true, async () =>
        {
            try
            {
                await using NpgsqlConnection connection = await source.OpenConnectionAsync();
                return true;
            }
            catch (PostgresException fault) when (fault.MessageText.Contains("cached error", StringComparison.Ordinal))
            {
                return false; // server_login_retry is not over.
            }
        });
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");
        Assert.Equal(("127.0.0.1", "127.0.0.1"), ((await first.QueryAsync(Way)).Scalar, (await second.QueryAsync(Way)).Scalar));
    }
}
