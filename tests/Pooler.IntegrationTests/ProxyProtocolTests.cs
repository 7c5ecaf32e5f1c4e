using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>proxy_protocol_networks: whose connection it is, as a proxy says.</summary>
public sealed class ProxyProtocolTests(PostgresCluster postgres)
{
    private const string Header = "PROXY TCP4 192.0.2.7 198.51.100.1 5000 6432\r\n";

    [Fact]
    public async Task AProxyIsBelieved()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "127.0.0.0/8, ::1");
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint), local = await PgWire.ConnectAsync(pooler.EndPoint), outside = await PgWire.ConnectAsync(pooler.EndPoint);
        byte[] header = Encoding.ASCII.GetBytes(Header);
        await client.SendAsync(header.AsMemory(0, 20)); // In two packets.
        await client.SendAsync(header.AsMemory(20));
        await client.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        await pooler.SeesInLogAsync($"{database}/app@192.0.2.7:5000 login attempt");

        // The rules go by that address: only 192.0.2.0/24 may come, and the proxy's own checks may not.
        await outside.SendAsync(Encoding.ASCII.GetBytes(Header.Replace("192.0.2.7", "203.0.113.9", StringComparison.Ordinal)));
        Assert.Equal("login rejected", (await outside.StartAsync(("user", PostgresCluster.User), ("database", database))).Error!.Value.Fields()['M']);
        await local.SendAsync(Encoding.ASCII.GetBytes("PROXY UNKNOWN\r\n"));
        Assert.Equal("login rejected", (await local.StartAsync(("user", PostgresCluster.User), ("database", database))).Error!.Value.Fields()['M']);

        using PgWire console = await PgWire.ConnectAsync(pooler.UnixEndPoint); // Nobody stands between.
        await console.LoginAsync("pgbouncer", PoolerIni.Admin);
        Dictionary<string, string?> row = (await console.QueryAsync("SHOW CLIENTS")).ToMaps().Single(row => row["database"] == database);
        Assert.Equal(("192.0.2.7", "5000"), (row["addr"], row["port"]));

        // A cancel comes through the proxy, too.
        await client.SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await Eventually.EqualsAsync("it runs", 1L, () => postgres.ScalarAsync<long>(database, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"));
        using PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint);
        await cancel.SendAsync((byte[])[.. header, .. PgRequest.Cancel(client.Key)]);
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error!.Value.SqlState);
    }

    [Fact]
    public async Task ThereIsNoGuessing()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "127.0.0.1");
        using PgWire plain = await PgWire.ConnectAsync(pooler.EndPoint);
        Assert.Equal("PROXY protocol header expected (proxy_protocol_networks)", (await plain.StartAsync(("user", PostgresCluster.User), ("database", database))).Error!.Value.Fields()['M']);

        await using PoolerProcess open = await StartAsync(database, "10.0.0.0/8");
        using PgWire stranger = await PgWire.ConnectAsync(open.EndPoint); // Nobody may say who he is by himself.
        await stranger.SendAsync(Encoding.ASCII.GetBytes(Header));
        Assert.Equal("invalid length of startup packet", (await stranger.ReadFatalAsync()).Fields()['M']);
    }

    private Task<PoolerProcess> StartAsync(string database, string networks) => PoolerProcess.StartAsync(postgres, database, adjust: ini =>
    {
        ini.Settings["proxy_protocol_networks"] = networks;
        ini.Settings["auth_type"] = "hba";
        ini.Settings["auth_hba_file"] = "hba";
        ini.Files["hba"] = "local all all trust\nhost all all 192.0.2.0/24 trust\n";
    });
}
