using System.Data;
using Npgsql;
using NpgsqlTypes;

namespace Pooler.IntegrationTests;

public sealed class NpgsqlTests(PostgresCluster postgres)
{
    private const int Rows = 50_000;

    public static readonly TheoryData<string> Modes = ["session", "transaction", "statement"];

    [Theory, MemberData(nameof(Modes))]
    public Task CommandsWithAndWithoutParameters(string mode) => WithConnectionAsync(mode, async connection =>
    {
        for (int i = 0; i < 20; i++)
        {
            await using var plain = new NpgsqlCommand($"SELECT {i}", connection);
            Assert.Equal(i, await plain.ExecuteScalarAsync());

            await using var command = new NpgsqlCommand("SELECT $1 + 1, $2 || '!', $3::bytea, $4", connection)
            {
                Parameters =
                {
                    new() { Value = i },
                    new() { Value = $"text {i}" },
                    new() { Value = new byte[] { 0, 255, 10, 0 } },
                    new() { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer },
                },
            };
            await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
            Assert.True(await reader.ReadAsync());
            Assert.Equal(i + 1, reader.GetInt32(0));
            Assert.Equal($"text {i}!", reader.GetString(1));
            Assert.Equal(new byte[] { 0, 255, 10, 0 }, reader.GetFieldValue<byte[]>(2));
            Assert.True(await reader.IsDBNullAsync(3));
            Assert.False(await reader.ReadAsync());
        }
    });

    [Fact]
    public Task CommandsOverTheUnixSocket() => WithPoolerAsync("transaction", async (pooler, database) =>
    {
        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database, host: pooler.Folder));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT $1::text", connection) { Parameters = { new() { Value = "here" } } };
        Assert.Equal("here", await command.ExecuteScalarAsync());
    });

    [Theory]
    [InlineData("session")]
    [InlineData("transaction")]
    public Task ABatchAnswersInOrder(string mode) => WithConnectionAsync(mode, async connection =>
    {
        await using var batch = new NpgsqlBatch(connection);
        for (int i = 0; i < 200; i++)
            batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT $1, repeat('x', $1)") { Parameters = { new() { Value = i } } });

        await using NpgsqlDataReader reader = await batch.ExecuteReaderAsync();
        for (int i = 0; i < 200; i++)
        {
            Assert.True(await reader.ReadAsync());
            Assert.Equal(i, reader.GetInt32(0));
            Assert.Equal(i, reader.GetString(1).Length);
            Assert.Equal(i < 199, await reader.NextResultAsync());
        }
    });

    [Fact]
    public Task AnErrorInABatchSkipsTheRestAndTheConnectionGoesOn() => WithConnectionAsync("transaction", async connection =>
    {
        await using (var batch = new NpgsqlBatch(connection))
        {
            foreach (string sql in (string[])["SELECT 1", "SELECT 1/0", "SELECT 3"])
                batch.BatchCommands.Add(new NpgsqlBatchCommand(sql));
            PostgresException fault = await Assert.ThrowsAsync<PostgresException>(() => batch.ExecuteNonQueryAsync());
            Assert.Equal(PostgresErrorCodes.DivisionByZero, fault.SqlState);
        }

        await using var after = new NpgsqlCommand("SELECT 'after'", connection);
        Assert.Equal("after", await after.ExecuteScalarAsync());
    });

    [Theory]
    [InlineData("session")]
    [InlineData("transaction")]
    [InlineData("statement")]
    public Task CopyTakesInAndGivesOutEveryRow(string mode) => WithConnectionAsync(mode, async connection =>
    {
        await ExecuteAsync(connection, "CREATE TABLE copied (id int, word text)");

        await using (TextWriter text = await connection.BeginTextImportAsync("COPY copied FROM STDIN"))
        {
            for (int i = 0; i < Rows; i++)
                await text.WriteAsync($"{i}\tword {i}\n");
        }

        await using (NpgsqlBinaryImporter binary = await connection.BeginBinaryImportAsync("COPY copied FROM STDIN (FORMAT BINARY)"))
        {
            for (int i = Rows; i < 2 * Rows; i++)
            {
                await binary.StartRowAsync();
                await binary.WriteAsync(i, NpgsqlDbType.Integer);
                await binary.WriteAsync($"word {i}", NpgsqlDbType.Text);
            }

            Assert.Equal((ulong)Rows, await binary.CompleteAsync());
        }

        int seen = 0;
        using (TextReader text = await connection.BeginTextExportAsync("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT"))
        {
            while (await text.ReadLineAsync() is { } line)
                Assert.Equal($"{seen}\tword {seen++}", line);
        }

        Assert.Equal(2 * Rows, seen);

        await using NpgsqlBinaryExporter export = await connection.BeginBinaryExportAsync("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT (FORMAT BINARY)");
        for (seen = 0; await export.StartRowAsync() != -1; seen++)
        {
            Assert.Equal(seen, await export.ReadAsync<int>());
            Assert.Equal($"word {seen}", await export.ReadAsync<string>());
        }

        Assert.Equal(2 * Rows, seen);
    });

    [Fact]
    public Task ACopyThatIsGivenUpLeavesNothing() => WithConnectionAsync("transaction", async connection =>
    {
        await ExecuteAsync(connection, "CREATE TABLE copied (id int)");
        await using (NpgsqlBinaryImporter binary = await connection.BeginBinaryImportAsync("COPY copied FROM STDIN (FORMAT BINARY)"))
        {
            for (int i = 0; i < 1000; i++)
            {
                await binary.StartRowAsync();
                await binary.WriteAsync(i, NpgsqlDbType.Integer);
            }

            // Disposed without CompleteAsync: CopyFail.
        }

        await using var count = new NpgsqlCommand("SELECT count(*) FROM copied", connection);
        Assert.Equal(0L, await count.ExecuteScalarAsync());
    });

    [Theory, MemberData(nameof(Modes))]
    public Task AValueOf20MegabytesPassesBothWays(string mode) => WithConnectionAsync(mode, async connection =>
    {
        byte[] value = new byte[20 * 1024 * 1024];
        new Random(20).NextBytes(value);
        await using var command = new NpgsqlCommand("SELECT $1", connection) { Parameters = { new() { Value = value } } };
        byte[] returned = (byte[])(await command.ExecuteScalarAsync())!;
        Assert.True(value.AsSpan().SequenceEqual(returned), "the value came back changed");
    });

    [Theory]
    [InlineData("session")]
    [InlineData("transaction")]
    public Task TransactionsCommitAndRollBack(string mode) => WithConnectionAsync(mode, async connection =>
    {
        await ExecuteAsync(connection, "CREATE TABLE kept (id int)");
        for (int i = 0; i < 10; i++)
        {
            await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead);
            await ExecuteAsync(connection, $"INSERT INTO kept VALUES ({i})");
            await transaction.SaveAsync("here");
            await ExecuteAsync(connection, "INSERT INTO kept VALUES (-1)");
            await transaction.RollbackAsync("here");
            if (i % 2 == 0)
                await transaction.CommitAsync();
            else
                await transaction.RollbackAsync();
        }

        await using (NpgsqlTransaction failed = await connection.BeginTransactionAsync())
        {
            await Assert.ThrowsAsync<PostgresException>(() => ExecuteAsync(connection, "SELECT 1/0"));
            PostgresException aborted = await Assert.ThrowsAsync<PostgresException>(() => ExecuteAsync(connection, "SELECT 1"));
            Assert.Equal(PostgresErrorCodes.InFailedSqlTransaction, aborted.SqlState);
            await failed.RollbackAsync();
        }

        await using var sum = new NpgsqlCommand("SELECT array_agg(id ORDER BY id) FROM kept", connection);
        int[] kept = (int[])(await sum.ExecuteScalarAsync())!;
        Assert.Equal([0, 2, 4, 6, 8], kept);
    });

    [Fact]
    public Task StatementModeRefusesATransactionBlock() => WithPoolerAsync("statement", async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.SendAsync(new PgRequest().Query("BEGIN"));
        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.Contains(messages, static message => message.Type == 'E' && message.Fields()['M'].Contains("transaction blocks not allowed", StringComparison.Ordinal));
    });

    private Task WithConnectionAsync(string mode, Func<NpgsqlConnection, Task> test) => WithPoolerAsync(mode, async (pooler, database) =>
    {
        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database));
        await connection.OpenAsync();
        await test(connection);
    });

    private async Task WithPoolerAsync(string mode, Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 4);
        await test(pooler, database);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
