using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>What must not be said around TLS, by clients and by servers (CVE-2021-23214, 23222, 2021-3935, 2021-43766, 2024-10977).</summary>
public sealed class TlsNegativeTests(PostgresCluster postgres)
{
    private static readonly byte[] GssEncRequest = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30];

    [Theory]
    [InlineData("allow", "request+startup", "received unencrypted data after SSL request")]
    [InlineData("require", "request+startup", "received unencrypted data after SSL request")]
    [InlineData("require", "startup", "SSL required")]
    [InlineData("disable", "request request", "unsupported frontend protocol")]
    [InlineData("require", "request garbage", "")]
    [InlineData("require", "request http", "")]
    public async Task InClear(string mode, string said, string answer)
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database, ini => ini.Settings["client_tls_sslmode"] = mode);
        byte[] startup = PgRequest.Startup(PgRequest.Protocol30, ("user", PostgresCluster.User), ("database", database)).ToArray();
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync((IPEndPoint)pooler.EndPoint);
        NetworkStream stream = client.GetStream();
        foreach (string part in said.Split(' '))
        {
            await stream.WriteAsync(part switch
            {
                "request" => PgRequest.SslRequest.ToArray(),
                "request+startup" => [.. PgRequest.SslRequest.ToArray(), .. startup],
                "garbage" => [.. Enumerable.Repeat((byte)0x16, 3000)],
                "http" => Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\n\r\n"),
                _ => startup,
            });
        }

        string heard = await TlsSocket.ReadToEndAsync(stream);
        Assert.DoesNotContain("SELECT", heard, StringComparison.Ordinal);
        Assert.DoesNotContain("server_version", heard, StringComparison.Ordinal);
        Assert.Contains(answer, heard, StringComparison.Ordinal);
        await AssertServesAsync(pooler, database, isTls: mode != "disable");
    }

    /// <summary>SSLRequest inside TLS is no startup packet; GSSENCRequest ahead of it is declined, and no more.</summary>
    [Fact]
    public async Task RequestsInTheWrongPlace()
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database);
        using (SslStream twice = await TlsSocket.OpenAsync(pooler.EndPoint))
        {
            await twice.WriteAsync(PgRequest.SslRequest);
            Assert.Contains("unsupported frontend protocol", await TlsSocket.ReadToEndAsync(twice), StringComparison.Ordinal);
        }

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(GssEncRequest);
        Assert.Equal('N', await wire.ReadByteAsync());
        await wire.SendAsync(PgRequest.SslRequest);
        Assert.Equal('S', await wire.ReadByteAsync());
    }

    /// <summary>Without SSLRequest a client must say by ALPN that it means PostgreSQL: another protocol's client could be sent here (ALPACA).</summary>
    [Fact]
    public async Task DirectTlsWithoutALPN()
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database);
        using (SslStream silent = await TlsSocket.OpenAsync(pooler.EndPoint, isDirect: true))
            Assert.Contains("without ALPN", await TlsSocket.ReadToEndAsync(silent), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<AuthenticationException>(() => TlsSocket.OpenAsync(pooler.EndPoint, isDirect: true, alpn: "http/1.1"));

        using SslStream right = await TlsSocket.OpenAsync(pooler.EndPoint, isDirect: true, alpn: "postgresql");
        await right.WriteAsync(PgRequest.Startup(PgRequest.Protocol30, ("user", PostgresCluster.User), ("database", database)).ToArray());
        Assert.Equal('R', right.ReadByte());
    }

    /// <summary>Half a handshake ends at client_login_timeout, and holds up nobody meanwhile.</summary>
    [Fact]
    public async Task HalfAHandshake()
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database, static ini => ini.Settings["client_login_timeout"] = "2");
        var stuck = new List<PgWire>();
        for (int i = 0; i < 20; i++)
        {
            PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.SendAsync(PgRequest.SslRequest);
            Assert.Equal('S', await wire.ReadByteAsync());
            await wire.SendAsync(new byte[] { 0x16, 3, 1, 2, 0, 1 });
            stuck.Add(wire);
        }

        await AssertServesAsync(pooler, database);
        foreach (PgWire wire in stuck)
        {
            Assert.Empty(await wire.ReadToEndAsync());
            wire.Dispose();
        }

        await pooler.SeesInLogAsync("client_login_timeout");
    }

    /// <summary>A server's words before TLS is up may be anybody's: nobody is shown them.</summary>
    [Theory]
    [InlineData("S+clear", "server sent unencrypted data after SSL response")]
    [InlineData("E", "server sent what is no answer to SSLRequest")]
    [InlineData("X", "server sent what is no answer to SSLRequest")]
    [InlineData("S+end", "TLS handshake failed")]
    [InlineData("S+garbage", "TLS handshake failed")]
    [InlineData("S+silence", "connect timeout")]
    [InlineData("end", "server conn crashed?")]
    public async Task AHostileServer(string says, string told)
    {
        await using var server = new FakeServer(async connection =>
        {
            await connection.ReadUntypedAsync();
            byte[] error = FakeConnection.Error("FATAL", "28000", "send your password to evil.example").ToArray();
            await connection.SendAsync(says switch
            {
                "S+clear" => [(byte)'S', .. error],
                "E" => error,
                "X" => "X"u8.ToArray(),
                "S+garbage" => [(byte)'S'],
                "end" => [],
                _ => "S"u8.ToArray(),
            });
            if (says == "S+garbage")
            {
                await connection.ReadSomeAsync();
                await connection.SendAsync(error);
            }

            if (says is "S+silence" or "S+garbage")
                await connection.ReadToEndAsync();
        });
        var ini = new PoolerIni();
        ini.Databases["app"] = $"host=127.0.0.1 port={server.Port}";
        ini.Settings["server_tls_sslmode"] = "require";
        ini.Settings["server_connect_timeout"] = "2";
        ini.Settings["server_login_retry"] = "60";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        CommandLine.Result answer = await CommandLine.PsqlAsync(pooler.LibpqString("app"), "SELECT 1");
        Assert.Contains(told, answer.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("evil", answer.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("evil", pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>A record that somebody has changed, or cut, on its way from the server: an error for this client, and for no other.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ABrokenRecordFromTheServer(bool isCut)
    {
        using Certificates made = await Certificates.CreateAsync();
        await using PostgresHost server = await PostgresHost.CreateAsync(settings: await made.PostgresSettingsAsync(await made.SignServerAsync()));
        int harm = 0;
        await using var relay = new FakeServer(connection => connection.RelayChangedAsync(server.Port, bytes =>
        {
            if (bytes.Length < 8_000 || Interlocked.Exchange(ref harm, 0) == 0)
                return bytes.Length;
            bytes[^1000] ^= 1;
            return isCut ? bytes.Length / 2 : bytes.Length;
        }));
        var ini = new PoolerIni();
        ini.Databases[PostgresCluster.Superuser] = $"host=127.0.0.1 port={relay.Port}";
        ini.Settings["server_tls_sslmode"] = "require";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire client = await pooler.LoginAsync(PostgresCluster.Superuser);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Volatile.Write(ref harm, 1);
        await client.SendAsync(new PgRequest().Query("SELECT repeat('x', 100) FROM generate_series(1, 100000)"));
        List<PgMessage> heard = await client.ReadToEndAsync();
        Assert.DoesNotContain(heard, static message => message.Type == 'Z');
        using PgWire next = await pooler.LoginAsync(PostgresCluster.Superuser);
        Assert.Equal("100000", (await next.QueryAsync("SELECT count(*) FROM (SELECT repeat('x', 100) FROM generate_series(1, 100000)) AS all_of_them")).Scalar);
    }

    /// <summary>The same on the way from a client: its connection ends, nothing of it runs.</summary>
    [Fact]
    public async Task ABrokenRecordFromAClient()
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database);
        bool isHarmful = false;
        await using var relay = new FakeServer(connection => connection.RelayChangedAsync(pooler.Port, static bytes => bytes.Length, bytes =>
        {
            if (isHarmful)
                bytes[^1] ^= 1;
            return bytes.Length;
        }));
        using SslStream client = await TlsSocket.OpenAsync(new IPEndPoint(IPAddress.Loopback, relay.Port));
        await client.WriteAsync(PgRequest.Startup(PgRequest.Protocol30, ("user", PostgresCluster.User), ("database", database)).ToArray());
        byte[] buffer = new byte[4096];
        for (int length = 0; length == 0 || buffer[length - 6] != 'Z';)
            length = await client.ReadAsync(buffer);
        isHarmful = true;
        await client.WriteAsync(new PgRequest().Query("CREATE TABLE harm (id int)").ToArray());
        Assert.DoesNotContain("CREATE", await TlsSocket.ReadToEndAsync(client), StringComparison.Ordinal);
        Assert.Equal(0L, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM pg_class WHERE relname = 'harm'"));
        await AssertServesAsync(pooler, database);
    }

    private static async Task AssertServesAsync(PoolerProcess pooler, string database, bool isTls = true)
    {
        CommandLine.Result answer = await CommandLine.PsqlAsync(pooler.LibpqString(database) + $" sslmode={(isTls ? "require" : "disable")}", "SELECT 'served'");
        Assert.Equal("served", answer.Output);
    }
}
