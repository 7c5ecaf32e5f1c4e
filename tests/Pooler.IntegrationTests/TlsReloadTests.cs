using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.IntegrationTests;

/// <summary>Certificates change while the pooler runs.</summary>
public sealed class TlsReloadTests(PostgresCluster postgres)
{
    [Fact]
    public async Task NewClientsAreShownTheNewOne()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PoolerProcess pooler = await StartAsync(made);
        using PgWire console = await ConsoleAsync(pooler);
        using SslStream present = await TlsAsync(pooler);
        string before = ShownOn(present);
        Assert.Equal(before, await ShownAsync(pooler));

        await PutAsync(made, pooler, await made.SignServerAsync());
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
        string after = await ShownAsync(pooler);
        Assert.NotEqual(before, after);
        await present.WriteAsync(PgRequest.Startup(PgRequest.Protocol30, ("user", PostgresCluster.User), ("database", "pgbouncer")).ToArray());
        Assert.True(await present.ReadAsync(new byte[1]) == 1, "who was there goes on");

        // A key of another certificate, then no certificate at all, then none to be read.
        (string certificate, string key) = await made.SignServerAsync();
        await PutAsync(made, pooler, (certificate, made.PathOf("ca.key")));
        await AssertRefusedAsync(pooler, console, "client_tls_key_file: ", after);
        await File.WriteAllTextAsync(made.PathOf("garbage"), "no certificate");
        await PutAsync(made, pooler, (made.PathOf("garbage"), key));
        await AssertRefusedAsync(pooler, console, "has no certificate (PEM", after);
        File.Delete(Path.Combine(pooler.Folder, "tls.crt"));
        await AssertRefusedAsync(pooler, console, "client_tls_cert_file: could not read", after);
    }

    [Fact]
    public async Task SetTurnsItOffAndOn()
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PoolerProcess pooler = await StartAsync(made);
        using PgWire console = await ConsoleAsync(pooler);
        Assert.Null((await console.QueryAsync("SET client_tls_sslmode = disable")).Error);
        Assert.Equal('N', await AskAsync(pooler));
        Assert.Null((await console.QueryAsync("SET client_tls_sslmode = require")).Error);
        Assert.Equal('S', await AskAsync(pooler));
        Assert.NotNull((await console.QueryAsync("SET client_tls_sslmode = 'verify-full'")).Error); // By whom are they signed?
        Assert.Equal('S', await AskAsync(pooler));
        Assert.Equal("require", (await console.QueryAsync("SHOW CONFIG")).ToMaps().Single(static row => row["key"] == "client_tls_sslmode")["value"]);
    }

    private async Task<PoolerProcess> StartAsync(Certificates made)
    {
        string database = await postgres.CreateDatabaseAsync();
        (string certificate, string key) = await made.SignServerAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["client_tls_sslmode"] = "allow";
            ini.Settings["client_tls_cert_file"] = "tls.crt";
            ini.Settings["client_tls_key_file"] = "tls.key";
            ini.Files["tls.crt"] = File.ReadAllText(certificate);
            ini.Files["tls.key"] = File.ReadAllText(key);
        });
    }

    private static Task<PgWire> ConsoleAsync(PoolerProcess pooler) => pooler.LoginAsync("pgbouncer", PoolerIni.Admin);

    private static async Task PutAsync(Certificates made, PoolerProcess pooler, (string Certificate, string Key) pair)
    {
        Assert.NotEmpty(made.Folder);
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "tls.crt"), await File.ReadAllTextAsync(pair.Certificate));
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "tls.key"), await File.ReadAllTextAsync(pair.Key));
    }

    private static async Task AssertRefusedAsync(PoolerProcess pooler, PgWire console, string says, string shown)
    {
        Assert.Equal("F0000", (await console.QueryAsync("RELOAD")).Error!.Value.SqlState);
        await pooler.SeesInLogAsync(says);
        Assert.Equal(shown, await ShownAsync(pooler));
    }

    private static async Task<char?> AskAsync(PoolerProcess pooler)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.SslRequest);
        return await wire.ReadByteAsync();
    }

    private static async Task<string> ShownAsync(PoolerProcess pooler)
    {
        using SslStream stream = await TlsAsync(pooler);
        return ShownOn(stream);
    }

    private static string ShownOn(SslStream stream) => ((X509Certificate2)stream.RemoteCertificate!).Thumbprint;

    private static Task<SslStream> TlsAsync(PoolerProcess pooler) => TlsSocket.OpenAsync(pooler.EndPoint);
}
