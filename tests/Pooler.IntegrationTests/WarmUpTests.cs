namespace Pooler.IntegrationTests;

/// <summary>prepared_statement_warmup: a new server has the most used statements before its first client.</summary>
public sealed class WarmUpTests(PostgresCluster postgres)
{
    private const string Names = "SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements";

    [Theory]
    [InlineData("2", "200", "hot,warm")]
    [InlineData("9", "200", "cold,hot,warm")]
    [InlineData("9", "1", "hot")]
    [InlineData("0", "200", null)]
    public Task ANewServerHasTheMostUsed(string count, string limit, string? names) => OnASecondServerAsync(async (pooler, database, first, second) =>
    {
        await PrepareAsync(first, "cold", "SELECT 'cold'", uses: 1);
        await PrepareAsync(first, "hot", "SELECT 'hot'", uses: 3);
        await PrepareAsync(first, "warm", "SELECT 'warm'", uses: 2);
        await PrepareAsync(first, "unused", "SELECT 'unused'", uses: 0);
        int before = await CountAsync("total_server_parse_count");
        await first.QueryAsync("BEGIN");
        Assert.Equal(names, (await second.QueryAsync(Names)).Scalar);
        string[] wanted = names?.Split(',') ?? [];
        Assert.Equal(wanted.Length, await CountAsync("total_server_parse_count") - before);
        Assert.Equal($"{wanted.Length}", (await pooler.ConsoleAsync("SHOW SERVERS")).Single(row => row["database"] == database && row["state"] == "idle")["prepared_statements"]);
        if (limit == "200")
            Assert.All(await pooler.ConsoleAsync("SHOW PREPARED"), row => Assert.Equal(wanted.Any(row["text"]!.Contains) ? "2" : "1", row["servers"]));

        // They are what they are called, and need no Parse any more.
        foreach (string name in wanted)
            await PrepareAsync(second, name, $"SELECT '{name}'", uses: 1);
        Assert.Equal(wanted.Length, await CountAsync("total_server_parse_count") - before);
        Assert.Equal(names, (await second.QueryAsync(Names)).Scalar);

        async Task<int> CountAsync(string column) => int.Parse((await pooler.ConsoleAsync("SHOW STATS")).Single(row => row["database"] == database)[column]!);
    }, ini =>
    {
        ini.Settings["prepared_statement_warmup"] = count;
        ini.Settings["max_prepared_statements"] = limit;
    });

    /// <summary>Of a table that is gone, of one that somebody else changes just now: the others are there, and nobody waits.</summary>
    [Fact]
    public Task WhatCannotBePreparedIsLeftOut() => OnASecondServerAsync(async (_, database, first, second) =>
    {
        await postgres.ExecuteAsync(database, "CREATE TABLE gone (a int); CREATE TABLE altered (a int); GRANT ALL ON gone, altered TO PUBLIC");
        await PrepareAsync(first, "good", "SELECT 'good'", uses: 1);
        await PrepareAsync(first, "gone", "SELECT * FROM gone", uses: 2);
        await PrepareAsync(first, "altered", "SELECT * FROM altered", uses: 3);
        await PrepareAsync(first, "best", "SELECT 'best'", uses: 4);
        await postgres.ExecuteAsync(database, "DROP TABLE gone");
        await first.QueryAsync("BEGIN");
        using PgWire altering = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await altering.LoginAsync(database, PostgresCluster.Superuser);
        Assert.Null((await altering.QueryAsync("BEGIN; ALTER TABLE altered ADD COLUMN b int")).Error);
        Assert.Equal("best,good", (await second.QueryAsync(Names)).Scalar);
        await second.SendAsync(new PgRequest().Bind("", "").Execute().Sync());
        Assert.Equal("26000", (await second.ReadReplyAsync()).Error!.Value.SqlState); // No unnamed statement of ours is left.
        Assert.Equal("0", (await second.QueryAsync("SHOW lock_timeout")).Scalar);
        Assert.Null((await altering.QueryAsync("COMMIT")).Error);
        await PrepareAsync(second, "altered", "SELECT * FROM altered", uses: 1);
    }, static ini => ini.Settings["prepared_statement_warmup"] = "20");

    /// <summary>The text would be read otherwise under the settings of a new server, which connect_query may have changed too.</summary>
    [Theory]
    [InlineData("DateStyle", "", null)]
    [InlineData("application_name", " connect_query='SET lock_timeout TO ''7s'''", "day")]
    [InlineData("application_name", " connect_query='SET datestyle TO ''German'''", null)]
    public Task OnlyWhatIsReadTheSameIsPrepared(string setting, string connectQuery, string? names) => OnASecondServerAsync(async (pooler, database, _, second) =>
    {
        using PgWire first = await PgWire.ConnectAsync(pooler.EndPoint);
        await first.LoginAsync(database, PostgresCluster.User, (setting, "German"));
        await PrepareAsync(first, "day", "SELECT extract(day FROM '01/02/2003'::date)", uses: 2);
        await first.QueryAsync("BEGIN");
        Assert.Equal(names, (await second.QueryAsync(Names)).Scalar);
        if (connectQuery.Contains("lock_timeout", StringComparison.Ordinal))
            Assert.Equal("7s", (await second.QueryAsync("SHOW lock_timeout")).Scalar);
    }, ini =>
    {
        ini.Settings["prepared_statement_warmup"] = "20";
        ini.Databases[ini.Databases.Keys.Single()] += connectQuery;
    });

    [Fact]
    public Task AnotherUsersStatementsAreNotPrepared() => OnASecondServerAsync(async (pooler, database, first, _) =>
    {
        await PrepareAsync(first, "hot", "SELECT 'hot'", uses: 3);
        using PgWire other = await pooler.LoginAsync(database, PostgresCluster.Superuser);
        Assert.Null((await other.QueryAsync(Names)).Scalar);
    }, static ini =>
    {
        ini.Settings["prepared_statement_warmup"] = "20";
        ini.Passwords[PostgresCluster.Superuser] = "";
    });

    private static async Task PrepareAsync(PgWire wire, string name, string sql, int uses)
    {
        var request = new PgRequest().Parse(name, sql);
        for (int i = 0; i < uses; i++)
            request.Bind("", name).Execute();
        await wire.SendAsync(request.Sync());
        Assert.Null((await wire.ReadReplyAsync()).Error);
    }

    /// <summary>The first client has a server; when it keeps that, the second one gets a new one.</summary>
    private async Task OnASecondServerAsync(Func<PoolerProcess, string, PgWire, PgWire, Task> test, Action<PoolerIni> adjust)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 2, adjust: adjust);
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await test(pooler, database, first, second);
    }
}
