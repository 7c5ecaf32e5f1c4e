using System.Text.RegularExpressions;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>SHOW STATEMENTS, the log of slow statements and the query log of the console.</summary>
public sealed class StatementStatisticsTests(PostgresCluster postgres)
{
    private const string Secret = "tulip";

    [Fact]
    public Task EachStatementIsCountedWhateverItsValues() => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("CREATE TABLE t (a int, b text)");
        for (int i = 0; i < 3; i++)
        {
            Assert.Null((await client.QueryAsync($"INSERT INTO t VALUES ({i}, '{Secret}'), (7, 'x') /* of {i} */")).Error);
        }

        PgReply read = await client.QueryAsync("SELECT * FROM t");
        Dictionary<string, string?> insert = await RowAsync(pooler, "INSERT INTO t VALUES (?, ?), (?, ?)");
        Assert.Equal((database, PostgresCluster.User, "3", "6", "0"), (insert["database"], insert["user"], insert["calls"], insert["rows"], insert["errors"]));
        Assert.Equal($"127.0.0.1:{postgres.Port}", insert["host"]);
        Assert.InRange(Number(insert, "p50"), 1, Number(insert, "total_time"));
        Assert.InRange(Number(insert, "p99"), Number(insert, "p50"), 2 * Number(insert, "total_time"));
        Assert.Equal(Number(insert, "total_time") / 3, Number(insert, "mean_time"));

        Dictionary<string, string?> select = await RowAsync(pooler, "SELECT * FROM t");
        Assert.Equal(("1", "6"), (select["calls"], select["rows"]));
        Assert.Equal(read.Messages.Sum(static message => message.Body.Length + 5), Number(select, "bytes_sent"));
        Assert.DoesNotContain(await pooler.ConsoleAsync("SHOW STATEMENTS"), static row => row.Values.Any(static value => value?.Contains(Secret, StringComparison.Ordinal) == true));

        await pooler.CommandAsync("RESET STATEMENTS");
        Assert.Empty(await pooler.ConsoleAsync("SHOW STATEMENTS"));
    });

    /// <summary>Unnamed, prepared and shared, prepared and the client's own, in pipelines and in pieces: each Execute is a call.</summary>
    [Theory]
    [InlineData("200")]
    [InlineData("0")]
    public Task TheExtendedProtocolIsCountedToo(string maxPrepared) => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.SendAsync(new PgRequest().Parse("", "SELECT $1::int AS unnamed").Bind("", "", "1").Execute().Sync().ToArray());
        Assert.Equal("12DCZ", (await client.ReadReplyAsync()).Types);
        await client.SendAsync(new PgRequest().Parse("p", "SELECT generate_series(1, $1::int) AS named").Sync().ToArray());
        await client.ReadReplyAsync();
        for (int i = 0; i < 2; i++)
        {
            await client.SendAsync(new PgRequest().Bind("", "p", "4").Execute().Bind("cursor", "p", "5").Execute("cursor", 2).Execute("cursor").Sync().ToArray());
            Assert.Equal("2DDDDC2DDsDDDCZ", (await client.ReadReplyAsync()).Types);
        }

        // The first fails, the second is skipped; that of the next batch runs.
        await client.SendAsync(new PgRequest().Parse("", "SELECT 1 / ($1::int * random()::int)").Bind("", "", "0").Execute().Bind("", "p", "1").Execute().Sync().Bind("", "p", "1").Execute().Sync().ToArray());
        Assert.Equal("12EZ", (await client.ReadReplyAsync()).Types);
        Assert.Equal("2DCZ", (await client.ReadReplyAsync()).Types);

        Dictionary<string, string?> unnamed = await RowAsync(pooler, "SELECT $1::int AS unnamed"), named = await RowAsync(pooler, "SELECT generate_series(?, $1::int) AS named"),
            failed = await RowAsync(pooler, "SELECT ? / ($1::int * random()::int)");
        Assert.Equal(("1", "1", "0"), (unnamed["calls"], unnamed["rows"], unnamed["errors"]));
        Assert.Equal(("7", "15", "0"), (named["calls"], named["rows"], named["errors"]));
        Assert.Equal(("1", "0", "1"), (failed["calls"], failed["rows"], failed["errors"]));
    }, ini => ini.Settings["max_prepared_statements"] = maxPrepared);

    [Fact]
    public Task TheWaitForAServerIsTold() => WithAsync(async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        await second.SendAsync(new PgRequest().Query("SELECT 'second'").ToArray());
        await Eventually.BecomesAsync("it waits", async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting, static waiting => waiting == 1);
        await first.QueryAsync("SELECT pg_sleep(0.2)");
        await first.QueryAsync("COMMIT");
        await second.ReadReplyAsync();
        Dictionary<string, string?> waited = await RowAsync(pooler, "SELECT ?"), slept = await RowAsync(pooler, "SELECT pg_sleep(?)");
        Assert.InRange(Number(waited, "wait_time"), 200_000, 20_000_000);
        Assert.Equal("0", slept["wait_time"]);
        Assert.InRange(Number(slept, "p50"), 190_000, 20_000_000);
    }, static ini => ini.Settings["default_pool_size"] = "1");

    [Fact]
    public Task WhatIsNotWantedIsNotKept() => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        Assert.Empty(await pooler.ConsoleAsync("SHOW STATEMENTS"));
        await pooler.CommandAsync("SET statement_statistics = 100000");
        for (int i = 0; i < 300; i++)
        {
            await client.QueryAsync($"SELECT 1 AS column_{i}");
        }

        int left = (await pooler.ConsoleAsync("SHOW STATEMENTS")).Count;
        Assert.InRange(left, 20, 120);
        Dictionary<string, string?> memory = (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "statements"), evicted = (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "statements_evicted");
        Assert.InRange(Number(memory, "bytes"), 1, 100_000);
        Assert.Equal($"{300 - left}", evicted["used"]);
        await pooler.CommandAsync("SET statement_statistics = 0");
        Assert.Empty(await pooler.ConsoleAsync("SHOW STATEMENTS"));
    }, static ini =>
    {
        ini.Settings["statement_statistics"] = "0";
        ini.Settings["workers"] = "1";
    });

    [Fact]
    public Task SlowStatementsAreLoggedWithoutTheirValues() => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 'fast'");
        await client.QueryAsync($"SELECT '{Secret}', pg_sleep(0.15)");
        await client.SendAsync(new PgRequest().Parse("", "SELECT pg_sleep(0.15), 1 / (random()::int * length($1))").Bind("", "", "").Execute().Sync().ToArray());
        Assert.NotNull((await client.ReadReplyAsync()).Error);
        string[] lines = await LinesAsync(pooler, " duration: ", 2);
        string shape = $@" LOG C-0x[0-9a-f]+: {database}/{PostgresCluster.User}@127\.0\.0\.1:\d+ duration: 1\d\d\.\d{{3}} ms wait: 0\.000 ms rows: 1 error: none host: 127\.0\.0\.1:{postgres.Port} statement: SELECT \?, pg_sleep\(\?\)$";
        Assert.Matches(shape, lines[0]);
        Assert.Matches(@"rows: 0 error: 22012 .* statement: SELECT pg_sleep\(\?\), \? / \(random\(\)::int \* length\(\$1\)\)$", lines[1]);
        Assert.DoesNotContain(Secret, pooler.Log, StringComparison.Ordinal);
    }, static ini =>
    {
        ini.Settings["log_min_duration_statement"] = "100";
        ini.Settings["statement_statistics"] = "0";
    });

    /// <summary>A statement without an end is one too.</summary>
    [Fact]
    public Task AStatementThatIsCutOffIsLogged() => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await Assert.ThrowsAsync<EndOfStreamException>(() => client.QueryAsync("SELECT pg_sleep(30)"));
        Assert.Matches("duration: [3-9]\\d\\d\\.\\d+ ms .* error: 08006 .* SELECT pg_sleep", Assert.Single(await LinesAsync(pooler, " duration: ", 1)));
    }, static ini =>
    {
        ini.Settings["log_min_duration_statement"] = "0";
        ini.Settings["query_timeout"] = "0.3";
    });

    [Fact]
    public Task AFloodIsCountedInsteadOfWritten() => WithAsync(async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        for (int i = 0; i < 200; i++)
        {
            await client.QueryAsync("SELECT 1");
        }

        await Eventually.EqualsAsync("all are accounted for", 200, () =>
        {
            int left = pooler.LogLines.Select(static line => Regex.Match(line, @"WARNING (\d+) statements were left out of the log")).Where(static match => match.Success).Sum(static match => int.Parse(match.Groups[1].Value));
            return Task.FromResult(left + pooler.LogLines.Count(static line => line.Contains(" duration: ")));
        });
        Assert.InRange(pooler.LogLines.Count(static line => line.Contains(" duration: ")), 5, 100);
    }, static ini =>
    {
        ini.Settings["log_min_duration_statement"] = "0";
        ini.Settings["log_statement_limit"] = "5";
        ini.Settings["workers"] = "1";
    });

    [Fact]
    public Task TheConsoleHasStatementsOfSomebodyLogged() => WithAsync(async (pooler, database) =>
    {
        using PgWire one = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        string id = (await pooler.ConsoleAsync("SHOW CLIENTS")).First(row => row["database"] == database)["id"]!;
        string mine = (await pooler.ConsoleAsync("SHOW CLIENTS")).Last(row => row["database"] == database)["id"]!;
        Assert.NotEqual(id, mine);
        await pooler.CommandAsync($"LOG QUERIES CLIENT {id} FOR 600");
        await one.QueryAsync($"SELECT 'one', '{Secret}'");
        await other.QueryAsync($"SELECT 'other', '{Secret}' AS b");
        string line = Assert.Single(await LinesAsync(pooler, " query log: ", 1));
        Assert.Matches(@"@127\.0\.0\.1:\d+ query log: duration: \d+\.\d+ ms .* statement: SELECT \?, \?( AS b)?$", line);

        await pooler.CommandAsync("log queries off");
        await one.QueryAsync("SELECT 1");
        await pooler.CommandAsync($"LOG QUERIES DATABASE \"{database}\"");
        await pooler.CommandAsync("LOG QUERIES USER nobody FOR 1");
        await one.QueryAsync("SELECT 2 AS seen");
        Assert.EndsWith("SELECT ? AS seen", (await LinesAsync(pooler, " query log: ", 2))[1]);
        await Eventually.BecomesAsync("it ends by itself", () => Task.FromResult(pooler.Log), static log => log.Contains("query log of user nobody has ended", StringComparison.Ordinal));
        await pooler.CommandAsync("LOG QUERIES OFF");
        Assert.DoesNotContain(Secret, pooler.Log, StringComparison.Ordinal);

        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        foreach (string wrong in (string[])["LOG QUERIES CLIENT x", "LOG QUERIES USER a FOR 0", "LOG QUERIES USER a FOR 4000", "LOG QUERIES ALL", "LOG QUERIES USER a b"])
        {
            Assert.Contains("use LOG QUERIES CLIENT", (await console.QueryAsync(wrong)).ToString(), StringComparison.Ordinal);
        }

        Assert.Contains("invalid command", (await console.QueryAsync("LOG QUERIES")).ToString(), StringComparison.Ordinal);
        Assert.Contains("invalid command", (await console.QueryAsync("RESET POOLS")).ToString(), StringComparison.Ordinal);
    });

    [Fact]
    public Task NpgsqlIsFollowed() => WithAsync(async (pooler, database) =>
    {
        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database));
        await connection.OpenAsync();
        for (int i = 0; i < 5; i++)
        {
            await using var command = new NpgsqlCommand("SELECT $1::int + 1 AS sum", connection) { Parameters = { new() { Value = i } } };
            await (i == 0 ? command.PrepareAsync() : Task.CompletedTask);
            Assert.Equal(i + 1, await command.ExecuteScalarAsync());
        }

        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new("SELECT 1 AS first"), new("SELECT generate_series(1, 3) AS second") } };
        await using (NpgsqlDataReader reader = await batch.ExecuteReaderAsync())
        {
            while (await reader.NextResultAsync())
            {
            }
        }

        Assert.Equal(("5", "5"), await CallsAndRowsAsync(pooler, "SELECT $1::int + ? AS sum"));
        Assert.Equal(("1", "1"), await CallsAndRowsAsync(pooler, "SELECT ? AS first"));
        Assert.Equal(("1", "3"), await CallsAndRowsAsync(pooler, "SELECT generate_series(?, ?) AS second"));
    });

    private static async Task<(string?, string?)> CallsAndRowsAsync(PoolerProcess pooler, string statement)
    {
        Dictionary<string, string?> row = await RowAsync(pooler, statement);
        return (row["calls"], row["rows"]);
    }

    private static async Task<Dictionary<string, string?>> RowAsync(PoolerProcess pooler, string statement) =>
        Assert.Single(await pooler.ConsoleAsync("SHOW STATEMENTS"), row => row["statement"] == statement);

    private static Task<string[]> LinesAsync(PoolerProcess pooler, string mark, int count) => Eventually.BecomesAsync(
        $"{count} lines with{mark}", () => Task.FromResult(pooler.LogLines.Where(line => line.Contains(mark, StringComparison.Ordinal)).ToArray()), lines => lines.Length >= count);

    private static long Number(Dictionary<string, string?> row, string column) => long.Parse(row[column]!, System.Globalization.CultureInfo.InvariantCulture);

    private async Task WithAsync(Func<PoolerProcess, string, Task> test, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: adjust);
        await test(pooler, database);
    }
}
