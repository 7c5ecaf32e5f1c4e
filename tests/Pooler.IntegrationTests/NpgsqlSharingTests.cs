using Npgsql;
using NpgsqlTypes;

namespace Pooler.IntegrationTests;

/// <summary>Npgsql as applications have it, with its own pool, reset and multiplexing: many connections over two servers.</summary>
public sealed class NpgsqlSharingTests(PostgresCluster postgres)
{
    private const int Servers = 2;

    [Theory]
    [InlineData("Max Auto Prepare=0")]
    [InlineData("Max Auto Prepare=10;Auto Prepare Min Usages=2")]
    public Task Multiplexing(string setting) => WithSourceAsync($"Multiplexing=true;Maximum Pool Size=4;{setting}", async source =>
    {
        await ExecuteAsync(source, "CREATE TABLE written (id int PRIMARY KEY, part bytea)");
        byte[] large = new byte[1_000_000];
        new Random(1).NextBytes(large);
        await Task.WhenAll(Enumerable.Range(0, 300).Select(async id =>
        {
            await using NpgsqlCommand insert = source.CreateCommand("INSERT INTO written VALUES ($1, $2)");
            insert.Parameters.AddRange(new NpgsqlParameter[] { new() { Value = id }, new() { Value = id % 100 == 0 ? large : [1] } });
            await insert.ExecuteNonQueryAsync();
            await using NpgsqlCommand select = source.CreateCommand("SELECT id, part FROM written WHERE id = $1");
            select.Parameters.Add(new() { Value = id });
            await using (NpgsqlDataReader reader = await select.ExecuteReaderAsync())
            {
                Assert.True(await reader.ReadAsync());
                Assert.Equal(id, reader.GetInt32(0));
                Assert.Equal(id % 100 == 0 ? large.Length : 1, reader.GetFieldValue<byte[]>(1).Length);
            }

            // With errors among what it multiplexes and prepares by itself Npgsql loses its place, directly too.
            if (!setting.StartsWith("Max Auto Prepare=0", StringComparison.Ordinal))
                return;
            await using NpgsqlCommand failing = source.CreateCommand("SELECT 1 / $1");
            failing.Parameters.Add(new() { Value = id % 2 });
            if (id % 2 == 0)
                Assert.Equal(PostgresErrorCodes.DivisionByZero, (await Assert.ThrowsAsync<PostgresException>(() => failing.ExecuteScalarAsync())).SqlState);
            else
                Assert.Equal(1, await failing.ExecuteScalarAsync());
        }));
        // A transaction takes a connection out of the multiplexing.
        await using NpgsqlConnection connection = await source.OpenConnectionAsync();
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync();
        await using var delete = new NpgsqlCommand("DELETE FROM written", connection, transaction);
        Assert.Equal(300, await delete.ExecuteNonQueryAsync());
        await transaction.RollbackAsync();
        await using NpgsqlCommand count = source.CreateCommand("SELECT count(*) FROM written");
        Assert.Equal(300L, await count.ExecuteScalarAsync());
    });

    /// <summary>
    /// Back in Npgsql's pool a connection is reset (DISCARD ALL, or less where it has prepared). That goes along with the first
    /// request of the next use, which must find what the login asked for.
    /// </summary>
    [Theory]
    [InlineData("Max Auto Prepare=0")]
    [InlineData("Max Auto Prepare=10;Auto Prepare Min Usages=1")]
    public Task WhatOneUseLeavesTheNextDoesNotFind(string setting) => WithSourceAsync($"Maximum Pool Size=1;{setting}", async source =>
    {
        for (int turn = 0; turn < 4; turn++)
        {
            await using NpgsqlConnection connection = await source.OpenConnectionAsync();
            Assert.Equal((turn, "America/New_York 12345ms 0"), (turn, await ScalarAsync(connection, "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('statement_timeout'), count(*)) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")));
            await ExecuteAsync(connection, "CREATE TEMP TABLE mine AS SELECT 1 AS a");
            await ExecuteAsync(connection, "SELECT pg_advisory_lock(5)");
            await ExecuteAsync(connection, "SET TimeZone TO 'Asia/Tokyo'");
            await ExecuteAsync(connection, "SET statement_timeout TO 54321");
            Assert.Equal("Asia/Tokyo 1", await ScalarAsync(connection, "SELECT current_setting('TimeZone') || ' ' || count(*) FROM mine"));
        }
    }, "TimeZone=America/New_York -c statement_timeout=12345");

    [Fact]
    public Task SeveralResultSetsWithParameters() => WithSourceAsync("Maximum Pool Size=4", source => Task.WhenAll(Enumerable.Range(0, 8).Select(async client =>
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync();
        await using var command = new NpgsqlCommand("SELECT @a; SELECT i, @b FROM generate_series(1, 100) i; SELECT @a || @b", connection);
        command.Parameters.AddWithValue("a", $"a{client}");
        command.Parameters.AddWithValue("b", $"b{client}");
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        Assert.True(await reader.ReadAsync());
        Assert.Equal($"a{client}", reader.GetString(0));
        Assert.True(await reader.NextResultAsync());
        for (int i = 1; i <= 100; i++)
        {
            Assert.True(await reader.ReadAsync());
            Assert.Equal((i, $"b{client}"), (reader.GetInt32(0), reader.GetString(1)));
        }

        Assert.True(await reader.NextResultAsync());
        Assert.True(await reader.ReadAsync());
        Assert.Equal($"a{client}b{client}", reader.GetString(0));
        Assert.False(await reader.NextResultAsync());
    })));

    [Fact]
    public Task RawCopyFromTableToTable() => WithSourceAsync("Maximum Pool Size=4", async source =>
    {
        await ExecuteAsync(source, "CREATE TABLE a AS SELECT i, repeat('x', 100) AS word FROM generate_series(1, 20000) i; CREATE TABLE b (LIKE a)");
        await using (NpgsqlConnection from = await source.OpenConnectionAsync(), to = await source.OpenConnectionAsync())
        {
            await using NpgsqlRawCopyStream read = await from.BeginRawBinaryCopyAsync("COPY a TO STDOUT (FORMAT BINARY)");
            await using NpgsqlRawCopyStream write = await to.BeginRawBinaryCopyAsync("COPY b FROM STDIN (FORMAT BINARY)");
            await read.CopyToAsync(write);
        }

        await using NpgsqlConnection connection = await source.OpenConnectionAsync();
        await using (NpgsqlRawCopyStream given = await connection.BeginRawBinaryCopyAsync("COPY b FROM STDIN (FORMAT BINARY)"))
            await given.CancelAsync();
        Assert.Equal(0L, await ScalarAsync(connection, "SELECT count(*) FROM ((TABLE a EXCEPT TABLE b) UNION ALL (TABLE b EXCEPT TABLE a)) d"));
    });

    /// <summary>Who listens keeps a server; all others share what is left, and are heard.</summary>
    [Fact]
    public Task Notifications() => WithSourceAsync("Maximum Pool Size=4", async source =>
    {
        await using NpgsqlConnection listener = await source.OpenConnectionAsync();
        var heard = new List<string>();
        listener.Notification += (_, message) => heard.Add(message.Payload);
        await ExecuteAsync(listener, "LISTEN news");
        for (int i = 0; i < 10; i++)
            await ExecuteAsync(source, $"SELECT pg_notify('news', 'number {i}')");
        using var limit = new CancellationTokenSource(Patience.Default);
        while (heard.Count < 10)
            await listener.WaitAsync(limit.Token);
        Assert.Equal(Enumerable.Range(0, 10).Select(static i => $"number {i}"), heard);
        await ExecuteAsync(listener, "UNLISTEN *");
    });

    [Fact]
    public Task ValuesOfManyTypes() => WithSourceAsync("Maximum Pool Size=4;Max Auto Prepare=10;Auto Prepare Min Usages=2", async source =>
    {
        for (int turn = 0; turn < 6; turn++)
        {
            await using NpgsqlCommand command = source.CreateCommand("SELECT $1, $2, $3, $4, $5");
            var at = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc);
            command.Parameters.AddRange(new NpgsqlParameter[]
            {
                new() { Value = """{"a": [1, null]}""", NpgsqlDbType = NpgsqlDbType.Jsonb }, new() { Value = new[] { 1, 2, turn } }, new() { Value = at },
                new() { Value = 1.50m }, new() { Value = Guid.Empty },
            });
            await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
            Assert.True(await reader.ReadAsync());
            Assert.Equal("""{"a": [1, null]}""", reader.GetString(0));
            Assert.Equal([1, 2, turn], reader.GetFieldValue<int[]>(1));
            Assert.Equal((at, 1.50m, Guid.Empty), (reader.GetDateTime(2), reader.GetDecimal(3), reader.GetGuid(4)));
        }
    });

    private async Task WithSourceAsync(string setting, Func<NpgsqlDataSource, Task> test, string? options = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: Servers, adjust: static ini =>
        {
            ini.Settings["auth_type"] = "scram-sha-256";
            ini.Settings["ignore_startup_parameters"] = "";
        });
        string text = $"Host=127.0.0.1;Port={pooler.Port};Database={database};Username={PostgresCluster.ScramUser};Password={PostgresCluster.ScramPassword};Timeout=30;Command Timeout=60;{setting}";
        await using (NpgsqlDataSource source = NpgsqlDataSource.Create(options is null ? text : $"{text};Options=-c {options}"))
            await test(source);
        Assert.InRange(await postgres.CountServersAsync(database), 1, Servers);
    }

    private static async Task ExecuteAsync(NpgsqlDataSource source, string sql)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync();
        await ExecuteAsync(connection, sql);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
