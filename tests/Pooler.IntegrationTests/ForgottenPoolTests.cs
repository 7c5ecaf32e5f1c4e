namespace Pooler.IntegrationTests;

/// <summary>Pools that nobody uses are forgotten, and so are the databases made from the entry *.</summary>
public sealed class ForgottenPoolTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ADatabaseMadeFromTheStarIsForgottenWhenIdle()
    {
        string named = await postgres.CreateDatabaseAsync(), gone = await postgres.CreateDatabaseAsync(), kept = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, named, adjust: ini =>
        {
            ini.Databases["*"] = $"host=127.0.0.1 port={postgres.Port}";
            ini.Settings["autodb_idle_timeout"] = "0.5";
            ini.Settings["server_idle_timeout"] = "0.5";
        });
        using PgWire staying = await pooler.LoginAsync(kept);
        Assert.Equal(kept, (await staying.QueryAsync("SELECT current_database()")).Scalar);
        foreach (string database in (string[])[named, gone])
        {
            using PgWire client = await pooler.LoginAsync(database);
            Assert.Equal(database, (await client.QueryAsync("SELECT current_database()")).Scalar);
        }

        Assert.Contains(gone, await ColumnAsync(pooler, "SHOW STATS", "database"));
        await Eventually.EqualsAsync("it is forgotten", false, async () => (await ColumnAsync(pooler, "SHOW DATABASES", "name")).Contains(gone));
        Assert.DoesNotContain(gone, await ColumnAsync(pooler, "SHOW STATS", "database"));
        Assert.DoesNotContain(gone, await ColumnAsync(pooler, "SHOW POOLS", "database"));

        // One with a client, and one with an entry, stay; the other comes back when it is asked for.
        await Eventually.EqualsAsync("all servers are closed", 0L, async () => await postgres.CountServersAsync(named) + await postgres.CountServersAsync(kept));
        Assert.Superset(new HashSet<string?> { named, kept }, await ColumnAsync(pooler, "SHOW POOLS", "database"));
        using PgWire again = await pooler.LoginAsync(gone);
        Assert.Equal(gone, (await again.QueryAsync("SELECT current_database()")).Scalar);
    }

    [Fact]
    public async Task AnEmptyPoolIsForgottenAfterPoolIdleTimeout()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["pool_idle_timeout"] = "0.5";
            ini.Settings["server_idle_timeout"] = "0.5";
            ini.Passwords[PostgresCluster.Superuser] = "";
        });
        using PgWire staying = await pooler.LoginAsync(database);
        using (PgWire leaving = await pooler.LoginAsync(database, PostgresCluster.Superuser))
            await leaving.ServerAsync();
        await Eventually.EqualsAsync("it is forgotten", 1, async () => (await ColumnAsync(pooler, "SHOW POOLS", "user")).Count(static user => user != "pgbouncer"));
        Assert.Contains(PostgresCluster.User, await ColumnAsync(pooler, "SHOW POOLS", "user"));
        await staying.ServerAsync();
        using PgWire again = await pooler.LoginAsync(database, PostgresCluster.Superuser);
        await again.ServerAsync();
    }

    /// <summary>The clients of an entry that a RELOAD has removed stay; behind the last of them nothing is left of it.</summary>
    [Fact]
    public async Task TheEntryThatIsGoneLeavesNoPool()
    {
        string database = await postgres.CreateDatabaseAsync(), removed = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
            ini.Databases[removed] = $"host=127.0.0.1 port={postgres.Port} dbname={removed}");
        PgWire client = await pooler.LoginAsync(removed);
        await client.ServerAsync();
        string path = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllLinesAsync(path, (await File.ReadAllLinesAsync(path)).Where(line => !line.StartsWith(removed + " ", StringComparison.Ordinal)));
        await pooler.CommandAsync("RELOAD");
        await client.ServerAsync();
        Assert.Contains(removed, await ColumnAsync(pooler, "SHOW POOLS", "database"));
        client.Dispose();
        await Eventually.EqualsAsync("it is forgotten", false, async () => (await ColumnAsync(pooler, "SHOW POOLS", "database")).Contains(removed));
    }

    private static async Task<HashSet<string?>> ColumnAsync(PoolerProcess pooler, string command, string column) =>
        [.. (await pooler.ConsoleAsync(command)).Select(row => row[column])];
}
