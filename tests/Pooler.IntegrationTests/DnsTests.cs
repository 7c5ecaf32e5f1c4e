namespace Pooler.IntegrationTests;

/// <summary>Hosts with names: several addresses, addresses that change, names that are not found, a name service that is silent.</summary>
public sealed class DnsTests : IAsyncLifetime
{
    private const string Name = "db.pooler.test", Database = "postgres", Where = "SELECT host(inet_server_addr())";

    private PostgresHost _postgres = null!;
    private NameService _names = null!;

    public async ValueTask InitializeAsync()
    {
        _postgres = await PostgresHost.CreateAsync(settings: "listen_addresses = '127.0.0.1,127.0.0.2,127.0.0.3'");
        _names = await NameService.CreateAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _postgres.DisposeAsync();
        _names.Dispose();
    }

    [Fact]
    public async Task ServersFollowTheirName()
    {
        _names.Set(Name, "127.0.0.1");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.2"));
        using PgWire holder = await pooler.LoginAsync(Database), other = await pooler.LoginAsync(Database);
        await holder.QueryAsync("BEGIN");
        Assert.Equal("127.0.0.1", (await holder.QueryAsync(Where)).Scalar);
        Assert.Equal("127.0.0.1", (await other.QueryAsync(Where)).Scalar);
        _names.Set(Name, "127.0.0.2");

        // Nobody opens a server: that the name has moved is found all the same. The idle server goes, the lent one at its release.
        await Eventually.EqualsAsync("servers and what becomes of them", "active 1", async () =>
            string.Join(", ", (await pooler.ConsoleAsync("SHOW SERVERS")).Select(static row => $"{row["state"]} {row["close_needed"]}")));
        Assert.Equal("127.0.0.2", (await other.QueryAsync(Where)).Scalar);
        Assert.Equal("127.0.0.1", (await holder.QueryAsync(Where)).Scalar);
        Assert.Equal('I', (await holder.QueryAsync("COMMIT")).TransactionStatus);
        Assert.Equal("127.0.0.2", (await holder.QueryAsync(Where)).Scalar);
        await Eventually.EqualsAsync("addresses of servers", "127.0.0.2", async () =>
            string.Join(", ", (await pooler.ConsoleAsync("SHOW SERVERS")).Select(static row => row["addr"]).Distinct()));
        await pooler.SeesInLogAsync("closing because: server address has changed (DNS)");
        await pooler.SeesInLogAsync($"DNS: {Name} is 127.0.0.2 now");
    }

    /// <summary>More names than lookups run at once, all of them due at the same time, again and again; some get no answer.</summary>
    [Fact]
    public async Task ManyNamesAreFollowed()
    {
        string[] names = [.. Enumerable.Range(1, 12).Select(static n => $"db{n}.pooler.test")];
        Array.ForEach(names, name => _names.Set(name, "127.0.0.1"));
        var ini = new PoolerIni { Settings = { ["dns_max_ttl"] = "0.1" } };
        foreach (string name in names)
            ini.Databases[name] = $"host={name} port={_postgres.Port} dbname={Database}";
        await using PoolerProcess pooler = await _names.StartAsync(ini);
        PgWire[] clients = await Task.WhenAll(names.Select(name => pooler.LoginAsync(name)));
        Array.ForEach(names[..4], _names.Silence);
        foreach (string address in (string[])["127.0.0.2", "127.0.0.3", "127.0.0.1"])
        {
            Array.ForEach(names[4..], name => _names.Set(name, address));
            foreach (PgWire client in clients[4..])
                await Eventually.EqualsAsync("where a client is", address, async () => (await client.QueryAsync(Where)).Scalar);
        }

        Array.ForEach(clients, static client => client.Dispose());
    }

    /// <summary>Nobody asks, and the refresh hangs: that is a failed lookup, too.</summary>
    [Fact]
    public async Task ASilentNameServiceIsNoticedByTheRefresh()
    {
        _names.Set(Name, "127.0.0.1");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.1"), ("dns_lookup_timeout", "0.2"), ("dns_keep_time", "0"), ("query_wait_timeout", "1"));
        using PgWire first = await pooler.LoginAsync(Database), second = await pooler.LoginAsync(Database);
        await first.QueryAsync("BEGIN");
        _names.Silence(Name);
        await LogsAsync(pooler, "no answer within dns_lookup_timeout");
        await second.SendAsync(new PgRequest().Query(Where));
        Assert.Equal("08P01", (await second.ReadToEndAsync())[^1].SqlState);
        await LogsAsync(pooler, $"server DNS lookup failed: {Name}: no answer");
    }

    [Fact]
    public async Task AnAddressThatStaysKeepsItsServers()
    {
        _names.Set(Name, "127.0.0.1", "127.0.0.2");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.2"));
        using PgWire first = await pooler.LoginAsync(Database), second = await pooler.LoginAsync(Database);
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");
        HashSet<string?> before = [(await first.QueryAsync(Where)).Scalar, (await second.QueryAsync(Where)).Scalar];
        Assert.Equal(["127.0.0.1", "127.0.0.2"], before.Order());
        _names.Set(Name, "127.0.0.3", "127.0.0.2");
        await Eventually.EqualsAsync("servers that have to go", "127.0.0.1", async () =>
            string.Join(", ", (await pooler.ConsoleAsync("SHOW SERVERS")).Where(static row => row["close_needed"] == "1").Select(static row => row["addr"])));
    }

    [Fact]
    public async Task AddressesAreTakenByTurnsAndADeadOneIsPassedOver()
    {
        _names.Set(Name, "127.0.0.9", "127.0.0.1", "127.0.0.2", "127.0.0.3");
        await using PoolerProcess pooler = await StartAsync();
        HashSet<string?> seen = [];
        List<PgWire> clients = [];
        for (int i = 0; i < 6; i++)
        {
            PgWire client = await pooler.LoginAsync(Database);
            clients.Add(client);
            await client.QueryAsync("BEGIN");
            seen.Add((await client.QueryAsync(Where)).Scalar);
        }

        Assert.Equal(["127.0.0.1", "127.0.0.2", "127.0.0.3"], seen.Order());
        Assert.Equal(1, _names.CountOf(Name));
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public async Task WithoutANameServiceTheLastAddressesAreKept()
    {
        _names.Set(Name, "127.0.0.1");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.1"), ("dns_nxdomain_ttl", "0.1"));
        using PgWire first = await pooler.LoginAsync(Database), second = await pooler.LoginAsync(Database);
        await first.QueryAsync("BEGIN");
        _names.Forget(Name);
        await LogsAsync(pooler, $"DNS lookup failed: {Name}: ");
        Assert.Equal("127.0.0.1", (await second.QueryAsync(Where)).Scalar); // On a server of its own, opened now.
        Assert.Equal(2, (await pooler.ConsoleAsync("SHOW SERVERS")).Count);
    }

    /// <summary>dns_keep_time = 0 is PgBouncer's way; who has a server keeps it there, too.</summary>
    [Fact]
    public async Task AfterDnsKeepTimeAFailedLookupFailsTheConnect()
    {
        _names.Set(Name, "127.0.0.1");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.1"), ("dns_nxdomain_ttl", "0.1"), ("dns_keep_time", "0"), ("query_wait_timeout", "1"));
        using PgWire first = await pooler.LoginAsync(Database), second = await pooler.LoginAsync(Database);
        await first.QueryAsync("BEGIN");
        _names.Forget(Name);
        await LogsAsync(pooler, $"DNS lookup failed: {Name}: ");
        await second.SendAsync(new PgRequest().Query(Where));
        Assert.Equal("08P01", (await second.ReadToEndAsync())[^1].SqlState);
        await LogsAsync(pooler, $"server DNS lookup failed: {Name}: ");
        Assert.Equal("127.0.0.1", (await first.QueryAsync(Where)).Scalar);
        Assert.Equal('I', (await first.QueryAsync("COMMIT")).TransactionStatus);
    }

    [Theory]
    [InlineData("RECONNECT")]
    [InlineData("RELOAD")]
    public async Task AFailedLookupIsKeptUntilTheOperatorSaysOtherwise(string command)
    {
        _names.Forget(Name);
        await using PoolerProcess pooler = await StartAsync(("dns_nxdomain_ttl", "600"), ("server_login_retry", "0.01"));
        for (int i = 0; i < 3; i++)
            Assert.Contains($"DNS lookup failed: {Name}: ", await RefusalAsync(pooler), StringComparison.Ordinal);
        Assert.Equal(1, _names.CountOf(Name));
        _names.Set(Name, "127.0.0.2");
        Assert.Contains($"DNS lookup failed: {Name}: ", await RefusalAsync(pooler), StringComparison.Ordinal);
        await CommandAsync(pooler, command);
        await Eventually.BecomesAsync("a login", async () => await TryAsync(pooler), static found => found == "127.0.0.2");
        Assert.Equal(2, _names.CountOf(Name));
    }

    [Fact]
    public async Task ASilentNameServiceHoldsUpNobodyElse()
    {
        _names.Silence(Name);
        await using PoolerProcess pooler = await StartAsync(("dns_lookup_timeout", "1"), ("dns_nxdomain_ttl", "0.1"), ("workers", "1"));
        Task<string> refused = RefusalAsync(pooler);
        await Eventually.EqualsAsync("lookups", 1, () => Task.FromResult(_names.CountOf(Name)));
        using PgWire other = await pooler.LoginAsync("other");
        Assert.Equal("127.0.0.1", (await other.QueryAsync(Where)).Scalar);
        Assert.Equal("1", (await pooler.ConsoleAsync("SHOW LISTS")).Single(static row => row["list"] == "dns_queries")["items"]);
        Assert.Contains($"DNS lookup failed: {Name}: no answer within dns_lookup_timeout", await refused, StringComparison.Ordinal);

        // The lookup is still under way; no other is begun beside it, and what it finds at last is good.
        Assert.Contains("no answer within dns_lookup_timeout", await RefusalAsync(pooler), StringComparison.Ordinal);
        Assert.Equal(1, _names.CountOf(Name));
        _names.Set(Name, "127.0.0.3");
        await Eventually.BecomesAsync("a login", async () => await TryAsync(pooler), static found => found == "127.0.0.3");
    }

    /// <summary>server_connect_timeout is over before the lookup is.</summary>
    [Fact]
    public async Task AConnectDoesNotWaitForALookupBeyondItsTime()
    {
        _names.Silence(Name);
        await using PoolerProcess pooler = await StartAsync(("dns_lookup_timeout", "600"), ("server_connect_timeout", "0.3"));
        Assert.Contains("connect timeout", await RefusalAsync(pooler), StringComparison.Ordinal);
        _names.Set(Name, "127.0.0.1");
        await Eventually.BecomesAsync("a login", async () => await TryAsync(pooler), static found => found == "127.0.0.1");
    }

    [Fact]
    public async Task TheConsoleShowsNamesAndZones()
    {
        _names.Set(Name, "127.0.0.1", "127.0.0.2");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "600"));
        using PgWire client = await pooler.LoginAsync(Database);
        Dictionary<string, string?> host = (await pooler.ConsoleAsync("SHOW DNS_HOSTS")).Single();
        Assert.Equal((Name, "127.0.0.1:0,127.0.0.2:0"), (host["hostname"], host["addrs"]));
        Assert.InRange(int.Parse(host["ttl"]!), 500, 600);
        Dictionary<string, string?> zone = (await pooler.ConsoleAsync("SHOW DNS_ZONES")).Single();
        Assert.Equal(("pooler.test", "0", "1"), (zone["zonename"], zone["serial"], zone["count"]));
        var lists = (await pooler.ConsoleAsync("SHOW LISTS")).ToDictionary(static row => row["list"]!, static row => row["items"]);
        Assert.Equal(("1", "1", "0", "0"), (lists["dns_names"], lists["dns_zones"], lists["dns_queries"], lists["dns_pending"]));
        await CommandAsync(pooler, "RECONNECT");
        Assert.Equal("0", (await pooler.ConsoleAsync("SHOW DNS_HOSTS")).Single()["ttl"]);
    }

    [Fact]
    public async Task ProbesGoWhereServersGo()
    {
        _names.Set(Name, "127.0.0.9", "127.0.0.2");
        await using PoolerProcess pooler = await StartAsync(("dns_max_ttl", "0.2"), ("routing", "primary"), ("monitor_user", PostgresCluster.Superuser), ("health_check_interval", "0.1"));
        using PgWire client = await pooler.LoginAsync(Database);
        Assert.Equal("127.0.0.2", (await client.QueryAsync(Where)).Scalar);
        _names.Set(Name, "127.0.0.3");
        // Nobody asks for a server meanwhile: it is the probe that is there.
        await Eventually.BecomesAsync("connections to the new address", () => Task.FromResult(CountConnections("0300007F")), static count => count == 1);
        await Eventually.EqualsAsync("connections to the old address", 0, () => Task.FromResult(CountConnections("0200007F")));
        Assert.Equal("127.0.0.3", (await client.QueryAsync(Where)).Scalar);
    }

    /// <summary>Established to the address (as /proc has it) at PostgreSQL's port.</summary>
    private int CountConnections(string address) =>
        File.ReadLines("/proc/net/tcp").Count(line => line.Contains($" {address}:{_postgres.Port:X4} 01 ", StringComparison.Ordinal));

    private Task<PoolerProcess> StartAsync(params (string Name, string Value)[] settings)
    {
        var ini = new PoolerIni();
        ini.Databases[Database] = $"host={Name} port={_postgres.Port}";
        ini.Databases["other"] = $"host=127.0.0.1 port={_postgres.Port} dbname={Database}";
        foreach ((string name, string value) in settings)
            ini.Settings[name] = value;
        return _names.StartAsync(ini);
    }

    private static async Task CommandAsync(PoolerProcess pooler, string command)
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync(command)).Error);
    }

    private static async Task<string> RefusalAsync(PoolerProcess pooler)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", Database)));
        return (await wire.ReadToEndAsync()).Single(static m => m.Type == 'E').Fields()['M'];
    }

    /// <summary>Where a new client is, or nothing if it was refused.</summary>
    private static async Task<string?> TryAsync(PoolerProcess pooler)
    {
        try
        {
            using PgWire wire = await pooler.LoginAsync(Database);
            return (await wire.QueryAsync(Where)).Scalar;
        }
        catch (EndOfStreamException)
        {
            return null;
        }
    }

    private static Task<string> LogsAsync(PoolerProcess pooler, string text) =>
        Eventually.BecomesAsync(text, () => Task.FromResult(pooler.Log), log => log.Contains(text, StringComparison.Ordinal));
}
