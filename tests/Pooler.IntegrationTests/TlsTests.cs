using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>TLS with clients and with servers, as psql, Npgsql and PostgreSQL see it.</summary>
public sealed class TlsTests(PostgresCluster postgres)
{
    /// <summary>What each client_tls_sslmode says to each sslmode of libpq.</summary>
    [Theory]
    [InlineData("disable", "disable", "")]
    [InlineData("disable", "prefer", "")]
    [InlineData("disable", "require", "server does not support SSL")]
    [InlineData("allow", "disable", "")]
    [InlineData("allow", "prefer", "TLSv1.3")]
    [InlineData("allow", "verify-full", "TLSv1.3")]
    [InlineData("prefer", "require", "TLSv1.3")]
    [InlineData("require", "disable", "SSL required")]
    [InlineData("require", "allow", "TLSv1.3")]
    [InlineData("require", "verify-ca", "TLSv1.3")]
    [InlineData("verify-full", "require", "connection requires a valid client certificate")]
    public async Task Psql(string mode, string sslmode, string expected)
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(made, database, ini =>
        {
            ini.Settings["client_tls_sslmode"] = mode;
            ini.Settings["client_tls_ca_file"] = made.Authority;
        });
        CommandLine.Result answer = await CommandLine.PsqlAsync(
            $"host=localhost hostaddr=127.0.0.1 port={pooler.Port} dbname={database} user={PostgresCluster.User} sslmode={sslmode} sslrootcert={made.Authority}", "SELECT 'answered'");
        bool works = expected.Length == 0 || expected.StartsWith("TLS", StringComparison.Ordinal);
        Assert.Equal((works ? 0 : 2, works), (answer.ExitCode, answer.Output == "answered"));
        if (works)
            await pooler.SeesInLogAsync($"user={PostgresCluster.User} tls={(expected.Length == 0 ? "no" : expected)}");
        else
            Assert.Contains(expected, answer.Error, StringComparison.Ordinal);
    }

    /// <summary>Versions and suites are those that are named; who has none of them is told by TLS, and the log says it.</summary>
    [Fact]
    public async Task VersionsAndCiphers()
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(made, database, static ini =>
        {
            ini.Settings["client_tls_protocols"] = "tlsv1.2";
            ini.Settings["client_tls_ciphers"] = "ECDHE-RSA-AES128-GCM-SHA256";
        });
        string text = $"host=localhost hostaddr=127.0.0.1 port={pooler.Port} dbname={database} user={PostgresCluster.User} sslmode=require";
        Assert.Contains("protocol: TLSv1.2, cipher: ECDHE-RSA-AES128-GCM-SHA256", (await CommandLine.PsqlAsync(text, "\\conninfo")).Output, StringComparison.Ordinal);
        await pooler.SeesInLogAsync("tls=TLSv1.2/ECDHE-RSA-AES128-GCM-SHA256");
        Assert.Contains("alert protocol version", (await CommandLine.PsqlAsync(text + " ssl_min_protocol_version=TLSv1.3", "SELECT 1")).Error, StringComparison.Ordinal);
        await pooler.SeesInLogAsync("unsupported protocol");
    }

    internal static async Task<PoolerProcess> StartAsync(Certificates made, PostgresCluster postgres, string database, Action<PoolerIni>? adjust = null)
    {
        (string certificate, string key) = await made.SignServerAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["client_tls_sslmode"] = "require";
            ini.Settings["client_tls_cert_file"] = certificate;
            ini.Settings["client_tls_key_file"] = key;
            adjust?.Invoke(ini);
        });
    }

    private Task<PoolerProcess> StartAsync(Certificates made, string database, Action<PoolerIni>? adjust = null) => StartAsync(made, postgres, database, adjust);
}
