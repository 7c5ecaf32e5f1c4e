using System.Globalization;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Much at once through TLS on both sides, and its records in pieces.</summary>
public sealed class TlsTransferTests : IAsyncLifetime
{
    private readonly PostgresCluster _postgres = new();
    private Certificates _made = null!;
    private string _database = "";

    public async ValueTask InitializeAsync()
    {
        _made = await Certificates.CreateAsync();
        await _postgres.InitializeAsync();
        await _postgres.EnableTlsAsync(_made);
        _database = await _postgres.CreateDatabaseAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _postgres.DisposeAsync();
        _made.Dispose();
    }

    [Theory]
    [InlineData("epoll")]
    [InlineData("io_uring")]
    public async Task RowsAndCopies(string engine)
    {
        await using PoolerProcess pooler = await StartAsync(ini => ini.Settings["io_engine"] = engine);
        await using NpgsqlConnection connection = await OpenAsync(pooler.Port);
        await using (var query = new NpgsqlCommand("SELECT i, repeat(md5(i::text), 1 + i % 700) FROM generate_series(1, 5000) AS i", connection))
        await using (NpgsqlDataReader rows = await query.ExecuteReaderAsync())
        {
            for (int i = 1; await rows.ReadAsync(); i++)
            {
                string expected = Convert.ToHexStringLower(Md5(i));
                string text = rows.GetString(1);
                Assert.Equal((i, 32 * (1 + (i % 700)), true), (rows.GetInt32(0), text.Length, text.EndsWith(expected, StringComparison.Ordinal) && text.StartsWith(expected, StringComparison.Ordinal)));
            }
        }

        await new NpgsqlCommand("DROP TABLE IF EXISTS copied; CREATE TABLE copied (id int, line text)", connection).ExecuteNonQueryAsync();
        await using (TextWriter copy = await connection.BeginTextImportAsync("COPY copied FROM STDIN"))
        {
            for (int i = 0; i < 100_000; i++)
                await copy.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{i}\tline {i} of many, so that they fill more than a few records of TLS\n"));
        }

        long sum = 0, count = 0;
        using (TextReader copy = await connection.BeginTextExportAsync("COPY (SELECT id FROM copied ORDER BY id) TO STDOUT"))
        {
            while (await copy.ReadLineAsync() is { } line)
                (sum, count) = (sum + long.Parse(line, CultureInfo.InvariantCulture), count + 1);
        }

        Assert.Equal((100_000L, 100_000L * 99_999 / 2), (count, sum));
        Assert.Equal(true, await new NpgsqlCommand("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", connection).ExecuteScalarAsync());
    }

    /// <summary>Whatever way records are cut on their way, on either side.</summary>
    [Theory]
    [InlineData(1, 400)]
    [InlineData(7, 2000)]
    [InlineData(16_401, 200_000)]
    public async Task RecordsInPieces(int piece, int bytes)
    {
        await using FakeServer toServer = InPieces(_postgres.Port, piece);
        await using PoolerProcess pooler = await StartAsync(ini => ini.Databases[_database] = $"host=127.0.0.1 port={toServer.Port} dbname={_database}");
        await using FakeServer toPooler = InPieces(pooler.Port, piece);
        await using NpgsqlConnection connection = await OpenAsync(toPooler.Port);
        string sent = string.Concat(Enumerable.Range(0, bytes / 10).Select(static i => i.ToString("D9", CultureInfo.InvariantCulture) + " "));
        await using var echo = new NpgsqlCommand("SELECT $1", connection) { Parameters = { new() { Value = sent } } };
        for (int i = 0; i < 3; i++)
            Assert.Equal(sent, await echo.ExecuteScalarAsync());
    }

    /// <summary>Who does not read holds no memory of ours beyond what a plain client does.</summary>
    [Fact]
    public async Task ASlowReader()
    {
        await using PoolerProcess pooler = await StartAsync();
        await using (NpgsqlConnection warm = await OpenAsync(pooler.Port))
            await new NpgsqlCommand("SELECT repeat('x', 1000) FROM generate_series(1, 10000)", warm).ExecuteNonQueryAsync();
        long before = pooler.ResidentKilobytes;
        var slow = new List<System.Net.Security.SslStream>();
        for (int i = 0; i < 10; i++)
        {
            System.Net.Security.SslStream client = await TlsSocket.OpenAsync(pooler.EndPoint);
            await client.WriteAsync(PgRequest.Startup(PgRequest.Protocol30, ("user", PostgresCluster.User), ("database", _database)).ToArray());
            await client.WriteAsync(new PgRequest().Query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)").ToArray());
            slow.Add(client);
        }

        await Eventually.EqualsAsync("servers wait for their clients", 10L, () => _postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{_database}' AND wait_event = 'ClientWrite'"));
        Assert.InRange(pooler.ResidentKilobytes - before, long.MinValue, 20_000);
        foreach (System.Net.Security.SslStream client in slow)
            await client.DisposeAsync();
        await using NpgsqlConnection next = await OpenAsync(pooler.Port);
        Assert.Equal(1, await new NpgsqlCommand("SELECT 1", next).ExecuteScalarAsync());
    }

#pragma warning disable CA5351 // As PostgreSQL's md5().
    private static byte[] Md5(int i) => System.Security.Cryptography.MD5.HashData(System.Text.Encoding.ASCII.GetBytes(i.ToString(CultureInfo.InvariantCulture)));
#pragma warning restore CA5351

    private static FakeServer InPieces(int port, int piece) => new(connection => connection.RelayInPiecesAsync(port, piece));

    private Task<PoolerProcess> StartAsync(Action<PoolerIni>? adjust = null) => TlsTests.StartAsync(_made, _postgres, _database, ini =>
    {
        ini.Settings["server_tls_sslmode"] = "verify-full";
        ini.Settings["server_tls_ca_file"] = _made.Authority;
        adjust?.Invoke(ini);
    });

    private async Task<NpgsqlConnection> OpenAsync(int port)
    {
        var connection = new NpgsqlConnection(
            $"Host=127.0.0.1;Port={port};Username={PostgresCluster.User};Database={_database};Pooling=false;SSL Mode=VerifyFull;Root Certificate={_made.Authority};Timeout=30;Command Timeout=60;Server Compatibility Mode=NoTypeLoading");
        await connection.OpenAsync();
        return connection;
    }
}
