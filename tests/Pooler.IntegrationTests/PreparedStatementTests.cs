using System.Globalization;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Named prepared statements in transaction mode: shared, evicted, prepared anew, bounded.</summary>
public sealed class PreparedStatementTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private const string Held = "SELECT count(*) FROM pg_prepared_statements";

    [Fact]
    public Task ManyClientsShareWhatAServerHasOnce() => WithServersAsync(4, async (pooler, database) =>
    {
        CommandLine.Result filled =
            await CommandLine.PgbenchAsync($"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}", "-i", "-q", "-s", "1");
        Assert.True(filled.ExitCode == 0, filled.ToString());
        CommandLine.Result run = await CommandLine.PgbenchAsync(pooler.LibpqString(database), "-n", "-M", "prepared", "-b", "select-only", "-c", "200", "-j", "2", "-t", "20");
        Assert.True(run.ExitCode == 0 && run.Output.Contains("actually processed: 4000", StringComparison.Ordinal), $"{run}\n{pooler.Log}");
        Dictionary<string, string?> totals = (await pooler.ConsoleAsync("SHOW STATS_TOTALS")).Single(row => row["database"] == database);
        Assert.Equal("200", totals["client_parse_count"]);
        Assert.Equal("4000", totals["bind_count"]);
        Assert.InRange(int.Parse(totals["server_parse_count"]!, CultureInfo.InvariantCulture), 1, 4);
        List<Dictionary<string, string?>> servers = [.. (await pooler.ConsoleAsync("SHOW SERVERS")).Where(row => row["database"] == database)];
        Assert.InRange(servers.Count, 1, 4);
        Assert.All(servers, static row => Assert.InRange(int.Parse(row["prepared_statements"]!, CultureInfo.InvariantCulture), 0, 1));
        await Eventually.EqualsAsync("names of clients that have left", "0", async () => Assert.Single(await pooler.ConsoleAsync("SHOW PREPARED"))["clients"]);
        Dictionary<string, string?> statement = Assert.Single(await pooler.ConsoleAsync("SHOW PREPARED"));
        Assert.Contains("pgbench_accounts", statement["text"], StringComparison.Ordinal);
        Dictionary<string, string?> memory = (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "prepared_statements");
        Assert.InRange(long.Parse(memory["bytes"]!, CultureInfo.InvariantCulture), 1, 1000);
    }, static ini => ini.Settings["max_client_conn"] = "300");

    [Fact]
    public Task AScriptOfManyStatementsRunsOnFewServers() => WithServersAsync(3, async (pooler, database) =>
    {
        CommandLine.Result filled =
            await CommandLine.PgbenchAsync($"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}", "-i", "-q", "-s", "1");
        Assert.True(filled.ExitCode == 0, filled.ToString());
        CommandLine.Result run = await CommandLine.PgbenchAsync(pooler.LibpqString(database), "-n", "-M", "prepared", "-b", "tpcb-like", "-c", "40", "-j", "40", "-t", "10"); // A thread each: it waits for its PREPARE with all its clients.
        Assert.True(run.ExitCode == 0 && run.Output.Contains("actually processed: 400", StringComparison.Ordinal), $"{run}\n{pooler.Log}");
        Assert.Equal(400L, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM pgbench_history"));
        Assert.InRange(await postgres.CountServersAsync(database), 0, 3);
    }, static ini => ini.Settings["max_prepared_statements"] = "3"); // Fewer than the script has: they are evicted all the time.

    [Fact]
    public Task TheOldestGoesWhenAServerHasEnough() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < 10; i++)
            {
                PgRequest request = round == 0 ? new PgRequest().Parse($"s{i}", $"SELECT {i}") : new PgRequest();
                await wire.SendAsync(request.Bind("", $"s{i}").Execute().Sync());
                Assert.Equal($"{i}", (await wire.ReadReplyAsync()).Scalar);
            }

            Assert.Equal("3", (await wire.QueryAsync(Held)).Scalar);
            Assert.Equal("s7,s8,s9", (await wire.QueryAsync("SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements")).Scalar);
        }

        Assert.Equal("3", (await pooler.ConsoleAsync("SHOW SERVERS")).Single(row => row["database"] == database)["prepared_statements"]);
        Assert.Equal("10", (await pooler.ConsoleAsync("SHOW CLIENTS")).Single(row => row["database"] == database)["prepared_statements"]);
    }, static ini => ini.Settings["max_prepared_statements"] = "3");

    [Fact]
    public Task EvictionGoesOnWithinABatch() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        var request = new PgRequest();
        for (int i = 0; i < 100; i++)
            request.Parse($"s{i}", $"SELECT {i}").Bind("", $"s{i}").Execute();
        for (int i = 0; i < 100; i++)
            request.Bind("", $"s{i}").Execute();
        await wire.SendAsync(request.Sync());
        PgReply reply = await wire.ReadReplyAsync();
        Assert.Equal(Enumerable.Range(0, 200).Select(static i => $"{i % 100}"), reply.Rows.Select(static row => row[0]));
        Assert.Equal("2", (await wire.QueryAsync(Held)).Scalar);
    }, static ini => ini.Settings["max_prepared_statements"] = "2");

    [Fact]
    public Task AChangedTableIsNotSeenOutsideATransaction() => WithServersAsync(1, async (pooler, database) =>
    {
        await postgres.ExecuteAsync(database, "CREATE TABLE t AS SELECT 1 AS a; GRANT ALL ON t TO PUBLIC");
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        foreach (PgWire wire in (PgWire[])[first, second])
        {
            await wire.SendAsync(new PgRequest().Parse("all", "SELECT * FROM t").Bind("", "all").Execute().Sync());
            Assert.Equal("1", (await wire.ReadReplyAsync()).Scalar);
        }

        for (int i = 2; i < 5; i++)
        {
            await postgres.ExecuteAsync(database, $"ALTER TABLE t ADD COLUMN c{i} int DEFAULT {i}");
            await first.SendAsync(new PgRequest().Bind("", "all").Describe('P', "").Execute().Sync());
            PgReply reply = await first.ReadReplyAsync();
            Assert.Equal("2TDCZ", reply.Types);
            Assert.Equal(i, reply.Rows.Single().Length);

            // One that goes by the description it was given before would misread them.
            await postgres.ExecuteAsync(database, $"ALTER TABLE t RENAME c{i} TO d{i}; ALTER TABLE t ALTER d{i} TYPE bigint");
            await second.SendAsync(new PgRequest().Bind("", "all").Execute().Sync());
            Assert.Equal("0A000", (await second.ReadReplyAsync()).Error!.Value.SqlState);
            await second.SendAsync(new PgRequest().Bind("", "all").Execute().Sync());
            Assert.Equal(i, (await second.ReadReplyAsync()).Rows.Single().Length);
        }

        // A batch that has written before is not run twice: it fails, and the next use works.
        await first.QueryAsync("CREATE TABLE written (i int)");
        await first.SendAsync(new PgRequest().Parse("write", "INSERT INTO written VALUES (1)").Sync());
        Assert.Null((await first.ReadReplyAsync()).Error);
        await postgres.ExecuteAsync(database, "ALTER TABLE t ADD COLUMN d int");
        await first.SendAsync(new PgRequest().Bind("", "write").Execute().Bind("", "all").Execute().Sync());
        Assert.Equal("0A000", (await first.ReadReplyAsync()).Error!.Value.SqlState);
        Assert.Equal("0", (await first.QueryAsync("SELECT count(*) FROM written")).Scalar);
        await first.SendAsync(new PgRequest().Bind("", "write").Execute().Bind("", "all").Execute().Sync());
        Assert.Null((await first.ReadReplyAsync()).Error);
        Assert.Equal("1", (await first.QueryAsync("SELECT count(*) FROM written")).Scalar);
    });

    [Fact]
    public Task AChangedTableFailsATransactionAndIsWellInTheNext() => WithServersAsync(1, async (pooler, database) =>
    {
        await postgres.ExecuteAsync(database, "CREATE TABLE t AS SELECT 1 AS a; GRANT ALL ON t TO PUBLIC");
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Parse("all", "SELECT * FROM t").Bind("", "all").Execute().Sync());
        Assert.Equal("1", (await wire.ReadReplyAsync()).Scalar);
        await wire.QueryAsync("BEGIN");
        await postgres.ExecuteAsync(database, "ALTER TABLE t ADD COLUMN b int");
        await wire.SendAsync(new PgRequest().Bind("", "all").Execute().Sync());
        PgReply failed = await wire.ReadReplyAsync();
        Assert.Equal("EZ", failed.Types);
        Assert.Equal("0A000", failed.Error!.Value.SqlState);
        Assert.Equal('E', failed.TransactionStatus);
        await wire.QueryAsync("ROLLBACK");
        await wire.QueryAsync("BEGIN");
        await wire.SendAsync(new PgRequest().Bind("", "all").Execute().Sync());
        Assert.Equal(2, (await wire.ReadReplyAsync()).Rows.Single().Length);
    });

    [Fact]
    public Task AServerThatDiesBetweenParseAndBindIsNotMissed() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Parse("one", "SELECT pg_backend_pid()").Bind("", "one").Execute().Sync());
        string before = (await wire.ReadReplyAsync()).Scalar!;
        await postgres.ExecuteAsync(database, $"SELECT pg_terminate_backend({before})");
        await Eventually.EqualsAsync("the server is gone", 0L, () => postgres.CountServersAsync(database));
        await wire.SendAsync(new PgRequest().Bind("", "one").Execute().Sync());
        Assert.NotEqual(before, (await wire.ReadReplyAsync()).Scalar);
    });

    [Fact]
    public Task AClientThatLeavesInTheMidstLeavesNothingInDoubt() => WithServersAsync(1, async (pooler, database) =>
    {
        for (int i = 0; i < 5; i++)
        {
            using (PgWire leaving = await pooler.LoginAsync(database))
                await leaving.SendAsync(new PgRequest().Parse("one", "SELECT 1").Parse("two", "SELECT 2").Flush());
            using PgWire wire = await pooler.LoginAsync(database);
            await wire.SendAsync(new PgRequest().Parse("one", "SELECT 1").Parse("two", "SELECT 'two'").Bind("", "one").Execute().Bind("", "two").Execute().Sync());
            Assert.Equal(["1", "two"], (await wire.ReadReplyAsync()).Rows.Select(static row => row[0]!));
        }
    });

    /// <summary>The text is read under the settings of whoever prepares it: a date in it means another day to another client.</summary>
    [Fact]
    public Task ClientsOfOtherSettingsDoNotShare() => WithServersAsync(1, async (pooler, database) =>
    {
        const string Day = "SELECT extract(day FROM '01/02/2003'::date)";
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.QueryAsync("SET datestyle TO 'ISO, MDY'");
        await second.QueryAsync("SET datestyle TO 'ISO, DMY'");
        for (int i = 0; i < 3; i++)
        {
            foreach ((PgWire wire, string day) in ((PgWire, string)[])[(first, "2"), (second, "1")])
            {
                await wire.SendAsync((i == 0 ? new PgRequest().Parse("day", Day) : new PgRequest()).Bind("", "day").Execute().Sync());
                Assert.Equal(day, (await wire.ReadReplyAsync()).Scalar);
            }
        }
    });

    /// <summary>
    /// It has to be prepared again after its client has taken other settings: those who have named the same text under theirs must
    /// not get that reading. Without room for both the server is reset, and its client gets the one or the other.
    /// </summary>
    [Theory]
    [InlineData("1000000")]
    [InlineData("500")]
    public Task AChangeOfSettingsIsNotReadByOthers(string memory) => WithServersAsync(1, async (pooler, database) =>
    {
        const string Day = "SELECT extract(day FROM '01/02/2003'::date)";
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Parse("day", Day).Bind("", "day").Execute().Sync());
        Assert.Equal("2", (await first.ReadReplyAsync()).Scalar);
        await first.QueryAsync("SET datestyle TO 'ISO, DMY'");
        for (int i = 0; i < 3; i++)
        {
            await first.SendAsync(new PgRequest().Bind("", "day").Execute().Sync());
            string? read = (await first.ReadReplyAsync()).Scalar;
            Assert.True(read == "1" || (read == "2" && memory == "500"), read);
            await second.SendAsync((i == 0 ? new PgRequest().Parse("day", Day) : new PgRequest()).Bind("", "day").Execute().Sync());
            Assert.Equal("2", (await second.ReadReplyAsync()).Scalar);
        }

        await first.SendAsync(new PgRequest().Close('S', "day").Parse("day", Day).Bind("", "day").Execute().Sync());
        Assert.Equal("1", (await first.ReadReplyAsync()).Scalar);
    }, ini => ini.Settings["max_prepared_memory"] = memory);

    /// <summary>A client that goes on with mapped names has closed its last one: what it names next is still not what others have.</summary>
    [Fact]
    public Task SwitchedOffAClientMeetsNoNameOfOthers() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire second = await pooler.LoginAsync(database);
        using (PgWire first = await pooler.LoginAsync(database))
        {
            await first.SendAsync(new PgRequest().Parse("mine", "SELECT 'mine'").Sync());
            Assert.Null((await first.ReadReplyAsync()).Error);
            await second.SendAsync(new PgRequest().Parse("other", "SELECT 'other'").Sync());
            Assert.Null((await second.ReadReplyAsync()).Error);
            using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
            Assert.Null((await console.QueryAsync("SET max_prepared_statements = 0")).Error);
            await first.SendAsync(new PgRequest().Close('S', "mine").Bind("", "other").Execute().Sync());
            Assert.Equal("26000", (await first.ReadReplyAsync()).Error!.Value.SqlState);
            await first.SendAsync(new PgRequest().Parse("other", "SELECT 'new'").Bind("", "other").Execute().Sync());
            Assert.Equal("new", (await first.ReadReplyAsync()).Scalar);
        }

        await second.SendAsync(new PgRequest().Bind("", "other").Execute().Sync());
        Assert.Equal("other", (await second.ReadReplyAsync()).Scalar);
    });

    /// <summary>Two of many names stand for one statement: an error tells that which was used.</summary>
    [Fact]
    public Task AmongManyNamesATwinIsToldByItsOwn() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        var request = new PgRequest();
        for (int i = 0; i < 100; i++)
            request.Parse($"s{i}", $"SELECT {i}");
        for (int i = 0; i < 100; i += 2)
            request.Close('S', $"s{i}").Parse($"s{i}", $"SELECT {i}");
        await wire.SendAsync(request.Parse("twin", "SELECT 55").Sync());
        Assert.Null((await wire.ReadReplyAsync()).Error);
        foreach (string name in (string[])["twin", "s55", "s54", "twin"])
        {
            await wire.SendAsync(new PgRequest().Parse(name, "SELECT 0").Sync());
            Assert.Equal($"prepared statement \"{name}\" already exists", (await wire.ReadReplyAsync()).Error!.Value.Fields()['M']);
        }
    });

    /// <summary>A Bind of several blocks to a statement that the server has under another name, or not at all, or cannot have.</summary>
    [Fact]
    public Task ALongBindFindsItsStatement() => WithServersAsync(1, async (pooler, database) =>
    {
        await postgres.ExecuteAsync(database, "CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC");
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Parse("one", "SELECT 'first'").Parse("table", "SELECT length($1), count(*) FROM t").Sync());
        Assert.Null((await first.ReadReplyAsync()).Error);
        await second.SendAsync(new PgRequest().Parse("one", "SELECT length($1)").Sync());
        Assert.Null((await second.ReadReplyAsync()).Error);
        string longText = new('x', 1_000_000);
        for (int i = 0; i < 3; i++)
        {
            await second.SendAsync(new PgRequest().Bind("", "one", longText).Execute().Bind("", "one", "y").Execute().Sync());
            Assert.Equal(["1000000", "1"], (await second.ReadReplyAsync()).Rows.Select(static row => row[0]!));
            await first.SendAsync(new PgRequest().Bind("", "one").Execute().Bind("", "table", longText).Execute().Sync());
            Assert.Equal(["first", "1000000"], (await first.ReadReplyAsync()).Rows.Select(static row => row[0]!));
        }

        await second.SendAsync(new PgRequest().Parse("evicts", "SELECT 1").Parse("evicts2", "SELECT 2").Sync());
        Assert.Null((await second.ReadReplyAsync()).Error);
        await postgres.ExecuteAsync(database, "DROP TABLE t");
        for (int i = 0; i < 3; i++)
        {
            await first.SendAsync(new PgRequest().Bind("", "table", longText).Execute().Bind("", "one").Execute().Sync().Bind("", "one").Execute().Sync());
            Assert.Equal("42P01", (await first.ReadReplyAsync()).Error!.Value.SqlState);
            Assert.Equal("first", (await first.ReadReplyAsync()).Scalar);
        }
    }, static ini => ini.Settings["max_prepared_statements"] = "2");

    [Fact]
    public Task StateThatAPreparedStatementLeavesReachesNobodyElse() => WithServersAsync(1, async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Parse("set", "SELECT set_config('work_mem', '1MB', false)").Sync());
        Assert.Null((await first.ReadReplyAsync()).Error);
        for (int i = 0; i < 2; i++)
        {
            await first.SendAsync(new PgRequest().Bind("", "set").Execute().Sync());
            Assert.Equal("1MB", (await first.ReadReplyAsync()).Scalar);
            Assert.NotEqual("1MB", (await second.QueryAsync("SELECT current_setting('work_mem')")).Scalar);
        }
    }, static ini => ini.Settings["pin"] = "off");

    [Fact]
    public Task BeyondTheBudgetAClientKeepsItsServer() => WithServersAsync(2, async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        for (int i = 0; i < 30; i++)
        {
            await wire.SendAsync(new PgRequest().Parse($"s{i}", $"SELECT {i}").Sync());
            Assert.Null((await wire.ReadReplyAsync()).Error);
        }

        for (int i = 0; i < 30; i++)
        {
            await wire.SendAsync(new PgRequest().Bind("", $"s{i}").Execute().Sync());
            Assert.Equal($"{i}", (await wire.ReadReplyAsync()).Scalar);
            Assert.Equal("other", (await other.QueryAsync("SELECT 'other'")).Scalar);
        }

        Dictionary<string, string?> memory = (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "prepared_statements");
        Assert.InRange(long.Parse(memory["bytes"]!, CultureInfo.InvariantCulture), 1, 3000);
        Assert.Equal(1, (await pooler.PoolCountsAsync(database)).ServersActive);
    }, static ini => ini.Settings["max_prepared_memory"] = "3000");

    [Fact]
    public Task WithoutTrackingAClientKeepsItsServer() => WithServersAsync(2, async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Parse("one", "SELECT 'first'").Sync());
        Assert.Null((await first.ReadReplyAsync()).Error);
        await second.SendAsync(new PgRequest().Parse("one", "SELECT 'second'").Bind("", "one").Execute().Sync());
        Assert.Equal("second", (await second.ReadReplyAsync()).Scalar);
        await first.SendAsync(new PgRequest().Bind("", "one").Execute().Sync());
        Assert.Equal("first", (await first.ReadReplyAsync()).Scalar);
        Assert.Equal(2, (await pooler.PoolCountsAsync(database)).ServersActive);
    }, static ini => ini.Settings["max_prepared_statements"] = "0");

    /// <summary>A client whose names pass as they are gets a server that others have left statements on.</summary>
    [Fact]
    public Task ASessionMeetsNoNameOfATransactionClient() => WithServersAsync(1, async (pooler, database) =>
    {
        using (PgWire shared = await pooler.LoginAsync(database))
        {
            await shared.SendAsync(new PgRequest().Parse("one", "SELECT 'shared'").Bind("", "one").Execute().Sync());
            Assert.Equal("shared", (await shared.ReadReplyAsync()).Scalar);
            using (PgWire session = await pooler.LoginAsync(database, PostgresCluster.Superuser))
            {
                await session.SendAsync(new PgRequest().Bind("", "one").Execute().Sync());
                Assert.Equal("26000", (await session.ReadReplyAsync()).Error!.Value.SqlState);
                await session.SendAsync(new PgRequest().Parse("one", "SELECT 'session'").Bind("", "one").Execute().Sync());
                Assert.Equal("session", (await session.ReadReplyAsync()).Scalar);
            }

            await shared.SendAsync(new PgRequest().Bind("", "one").Execute().Sync());
            Assert.Equal("shared", (await shared.ReadReplyAsync()).Scalar);
        }
    }, ini =>
    {
        ini.Passwords[PostgresCluster.Superuser] = "";
        ini.Databases[ini.Databases.Keys.Single()] += $" user={PostgresCluster.User}";
        ini.UserSettings[PostgresCluster.Superuser] = "pool_mode=session";
    });

    /// <summary>Half of the statements are the same for all clients, half each client's own.</summary>
    [Fact, Trait("Category", "Long")]
    public Task AThousandClientsWithTwoHundredStatementsEach() => WithServersAsync(4, async (pooler, database) =>
    {
        const int Clients = 1000, Statements = 200;
        PgWire[] wires = new PgWire[Clients];
        try
        {
            for (int i = 0; i < Clients; i++)
                wires[i] = await pooler.LoginAsync(database);
            long before = pooler.ResidentKilobytes;
            for (int i = 0; i < Clients; i++)
            {
                var request = new PgRequest();
                for (int s = 0; s < Statements; s++)
                    request.Parse($"s{s}", s % 2 == 0 ? $"SELECT {s} AS a_column_of_some_length" : $"SELECT {i * Statements + s} AS a_column_of_some_length");
                await wires[i].SendAsync(request.Sync());
                Assert.Null((await wires[i].ReadReplyAsync()).Error);
            }

            Dictionary<string, string?> memory = (await pooler.ConsoleAsync("SHOW MEM")).Single(static row => row["name"] == "prepared_statements");
            output.WriteLine($"{pooler.ResidentKilobytes - before} kB for {Clients * Statements} names; SHOW MEM: {memory["used"]} used, {memory["free"]} free, {memory["bytes"]} bytes");
            Assert.InRange(long.Parse(memory["bytes"]!, CultureInfo.InvariantCulture), 1, 134217728);
            Assert.All((await pooler.ConsoleAsync("SHOW SERVERS")).Where(row => row["database"] == database), static row =>
                Assert.InRange(int.Parse(row["prepared_statements"]!, CultureInfo.InvariantCulture), 0, Statements));
            for (int i = 0; i < Clients; i += 100)
            {
                await wires[i].SendAsync(new PgRequest().Bind("", "s1").Execute().Bind("", "s198").Execute().Sync());
                Assert.Equal([$"{i * Statements + 1}", "198"], (await wires[i].ReadReplyAsync()).Rows.Select(static row => row[0]!));
            }
        }
        finally
        {
            foreach (PgWire wire in wires)
                wire?.Dispose();
        }

        await Eventually.EqualsAsync("names of clients that have left", 0L, async () =>
            (await pooler.ConsoleAsync("SHOW PREPARED")).Sum(static row => long.Parse(row["clients"]!, CultureInfo.InvariantCulture)));
    }, static ini => ini.Settings["max_client_conn"] = "1100");

    [Theory]
    [InlineData("Max Auto Prepare=0")]
    [InlineData("Max Auto Prepare=5;Auto Prepare Min Usages=2")]
    public Task NpgsqlPreparesOnFewServers(string setting) => WithServersAsync(2, async (pooler, database) =>
    {
        string text = pooler.NpgsqlString(database).Replace("Max Auto Prepare=0", setting, StringComparison.Ordinal)
            .Replace("Pooling=false;No Reset On Close=true", "Maximum Pool Size=4", StringComparison.Ordinal);
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(text);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async client =>
        {
            for (int turn = 0; turn < 5; turn++)
            {
                // Back in Npgsql's own pool a connection is reset in front of its next command.
                await using NpgsqlConnection connection = await source.OpenConnectionAsync();
                for (int i = 0; i < 8; i++)
                {
                    await using var command = new NpgsqlCommand($"SELECT $1 + {i}", connection) { Parameters = { new() { Value = client } } };
                    if (setting == "Max Auto Prepare=0")
                        await command.PrepareAsync();
                    Assert.Equal(client + i, await command.ExecuteScalarAsync());
                    Assert.Equal(client + i, await command.ExecuteScalarAsync());
                    await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new("SELECT 1"), new("SELECT 2") } };
                    Assert.Equal(1, await batch.ExecuteScalarAsync());
                }

                await connection.ReloadTypesAsync();
                await using (var transaction = await connection.BeginTransactionAsync())
                {
                    await using var failing = new NpgsqlCommand("SELECT 1 / $1", connection) { Parameters = { new() { Value = 0 } } };
                    await Assert.ThrowsAsync<PostgresException>(failing.ExecuteScalarAsync);
                    await transaction.RollbackAsync();
                }

                if (turn == 2)
                    connection.UnprepareAll();
            }
        }));
        Assert.InRange(await postgres.CountServersAsync(database), 0, 2);
    });

    private async Task WithServersAsync(int count, Func<PoolerProcess, string, Task> test, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: count, adjust: adjust);
        await test(pooler, database);
    }
}
