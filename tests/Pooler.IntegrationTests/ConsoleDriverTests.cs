using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>The console by drivers as they come: Npgsql, JDBC, psycopg 3, asyncpg, psql.</summary>
public sealed class ConsoleDriverTests(PostgresCluster postgres)
{
    private const string AdminPassword = "admin secret";

    /// <summary>Programs of tests/Drivers, as in <see cref="DriverTests"/>.</summary>
    public static readonly TheoryData<string, string[]> Programs = new()
    {
        { "python/console.py", ["/usr/bin/python3", "-B"] },
        { "java/JdbcConsole.java", ["java", "-cp", "/usr/share/java/postgresql.jar"] },
    };

    [Theory, MemberData(nameof(Programs))]
    public async Task ProgramsReadTheConsole(string program, string[] launcher)
    {
        await using PoolerProcess pooler = await StartAsync();
        CommandLine.Result result = await CommandLine.RunAsync(launcher[0],
            [.. launcher[1..], Repository.PathOf("tests", "Drivers", program), $"{pooler.Port}", $"{postgres.Port}", "app", PoolerIni.Admin, AdminPassword]);
        string[] lines = result.Output.Split('\n');
        string seen = $"{result}\n{pooler.Log}";
        Assert.True(result.ExitCode == 0, seen);
        int good = lines.Count(static line => line.StartsWith("ok ", StringComparison.Ordinal));
        Assert.True(good > 0 && lines[^1] == $"{good} checks", seen);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Max Auto Prepare=10;Auto Prepare Min Usages=2")]
    [InlineData("Multiplexing=true;Pooling=true;No Reset On Close=false")]
    public async Task NpgsqlReadsTablesAndRunsCommands(string options)
    {
        await using PoolerProcess pooler = await StartAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(
            $"{pooler.NpgsqlString("pgbouncer", PoolerIni.Admin, AdminPassword)};Server Compatibility Mode=NoTypeLoading;{options}");
        for (int i = 0; i < 5; i++)
        {
            await using NpgsqlCommand lists = source.CreateCommand("SHOW LISTS");
            await using (NpgsqlDataReader reader = await lists.ExecuteReaderAsync())
            {
                var items = new Dictionary<string, int>();
                while (await reader.ReadAsync())
                    items[reader.GetString(0)] = reader.GetInt32(1);
                Assert.Equal(14, items.Count);
                Assert.True(items["used_clients"] >= 1);
            }

            await using NpgsqlCommand totals = source.CreateCommand("SHOW TOTALS");
            await using (NpgsqlDataReader reader = await totals.ExecuteReaderAsync())
            {
                var values = new Dictionary<string, decimal>();
                while (await reader.ReadAsync())
                    values[reader.GetString(0)] = reader.GetDecimal(1);
                Assert.Equal(24, values.Count);
                Assert.True(values["total_query_count"] > i);
            }

            await using NpgsqlCommand memory = source.CreateCommand("SHOW MEM");
            await using (NpgsqlDataReader reader = await memory.ExecuteReaderAsync())
            {
                while (await reader.ReadAsync())
                    Assert.True(reader.GetString(0) != "resident" || reader.GetInt64(5) > 1_000_000);
            }

            Assert.Equal(-1, await source.CreateCommand("PAUSE app").ExecuteNonQueryAsync());
            PostgresException error = await Assert.ThrowsAsync<PostgresException>(() => source.CreateCommand("PAUSE nosuch").ExecuteNonQueryAsync());
            Assert.Equal(("08P01", "no such database: nosuch"), (error.SqlState, error.MessageText));
            Assert.Equal(-1, await source.CreateCommand("RESUME app").ExecuteNonQueryAsync());
        }
    }

    [Fact]
    public async Task NpgsqlPreparesAndSendsBatches()
    {
        await using PoolerProcess pooler = await StartAsync();
        await using var connection = new NpgsqlConnection($"{pooler.NpgsqlString("pgbouncer", PoolerIni.Admin, AdminPassword)};Server Compatibility Mode=NoTypeLoading");
        await connection.OpenAsync();
        await using var state = new NpgsqlCommand("SHOW STATE", connection);
        await state.PrepareAsync();
        for (int i = 0; i < 3; i++)
            Assert.Equal("active", await state.ExecuteScalarAsync());

        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new("SHOW STATE"), new("SHOW VERSION"), new("SHOW HELP") } };
        await using (NpgsqlDataReader reader = await batch.ExecuteReaderAsync())
        {
            Assert.True(await reader.ReadAsync());
            Assert.True(await reader.NextResultAsync() && await reader.ReadAsync());
            Assert.StartsWith("PgBouncer 1.25.2", reader.GetString(0), StringComparison.Ordinal);
        }

        await using var wrong = new NpgsqlCommand("PAUSE $1", connection) { Parameters = { new() { Value = "app" } } };
        Assert.Equal("0A000", (await Assert.ThrowsAsync<PostgresException>(wrong.ExecuteNonQueryAsync)).SqlState);
        await using NpgsqlDataReader clients = await new NpgsqlCommand("SHOW CLIENTS", connection).ExecuteReaderAsync();
        Assert.True(await clients.ReadAsync());
        Assert.Equal(("pgbouncer", 1), (clients["database"], clients["prepared_statements"]));
    }

    [Fact]
    public async Task PsqlShowsTablesNoticesAndErrors()
    {
        await using PoolerProcess pooler = await StartAsync();
        string target = pooler.LibpqString("pgbouncer", PoolerIni.Admin, AdminPassword) + " application_name=operator";
        CommandLine.Result shown = await CommandLine.PsqlAsync(target, "show clients", "show help;", "set DateStyle = iso", "\\bind", "show state \\g");
        Assert.Contains("|operator|", shown.Output, StringComparison.Ordinal);
        Assert.Contains("NOTICE:  Console usage", shown.Error, StringComparison.Ordinal);
        Assert.Contains("\tSWITCHOVER <db> TO <host>[:<port>]", shown.Error, StringComparison.Ordinal);
        CommandLine.Result described = await CommandLine.PsqlAsync(target, "\\d");
        Assert.Contains("ERROR:  invalid command '", described.Error, StringComparison.Ordinal);
    }

    private async Task<PoolerProcess> StartAsync()
    {
        string database = await postgres.CreateDatabaseAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases["app"] = ini.Databases[database];
            ini.Passwords[PoolerIni.Admin] = AdminPassword;
            ini.Settings["auth_type"] = "scram-sha-256";
            ini.Settings["ignore_startup_parameters"] = "";
        });
    }
}
