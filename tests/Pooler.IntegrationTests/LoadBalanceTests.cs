using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>Which of several replicas answers: load_balance, weight, zone. One set of hosts, an entry for each case.</summary>
public sealed class LoadBalanceTests(LoadBalanceTests.Hosts fixture) : IClassFixture<LoadBalanceTests.Hosts>
{
    private const string Where = "SELECT current_setting('port')";

    // So many that 5 % of a fifth are five standard deviations of a drawing by chance.
    private const int Asked = 40_000;

    /// <summary>A primary and two standbys.</summary>
    public sealed class Hosts : IAsyncLifetime
    {
        internal ReplicaSet Set { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Set = await ReplicaSet.StartAsync(standbys: 2);

        public ValueTask DisposeAsync() => Set.DisposeAsync();
    }

    [Theory]
    [InlineData("load_balance=weighted weight=0,2,1", 2.0 / 3)]
    [InlineData("load_balance=weighted weight=5,1,4", 0.2)]
    [InlineData("load_balance=round_robin", 0.5)]
    [InlineData("load_balance=random weight=1,9,1", 0.5)]
    [InlineData("load_balance=least_busy", 0.5)] // One client: they are equally busy.
    [InlineData("load_balance=weighted weight=1,0,3", 0)]
    [InlineData("zone=a,b,a", 0)]
    [InlineData("zone=a,b,c", 0.5)] // None of the replicas is near: b and c are as far.
    public async Task ReadsSpreadAsTheEntrySays(string entry, double firstStandbysShare)
    {
        await using PoolerProcess pooler = await StartAsync(entry);
        using PgWire client = await pooler.LoginAsync("app");
        Dictionary<string, int> answers = await CountAsync(client, Asked);
        int first = answers.GetValueOrDefault($"{fixture.Set.Hosts[1].Port}"), second = answers.GetValueOrDefault($"{fixture.Set.Hosts[2].Port}");
        Assert.Equal(Asked, first + second);
        Assert.InRange(first, Asked * firstStandbysShare * 0.95, Asked * firstStandbysShare * 1.05);
    }

    [Fact]
    public async Task TheBusierHostIsLeftAloneInProportionToItsWeight()
    {
        await using PoolerProcess pooler = await StartAsync("weight=1,2,1");
        List<PgWire> clients = [];
        for (int i = 0; i < 9; i++)
        {
            PgWire client = await pooler.LoginAsync("app");
            await client.QueryAsync("BEGIN"); // It stays where it is.
            clients.Add(client);
        }

        int first = 0;
        foreach (PgWire client in clients)
        {
            first += (await client.QueryAsync(Where)).Scalar == $"{fixture.Set.Hosts[1].Port}" ? 1 : 0;
            await client.QueryAsync("COMMIT");
            client.Dispose();
        }

        Assert.Equal(6, first);
    }

    [Theory]
    [InlineData("target_session_attrs=standby", "t")]
    [InlineData("target_session_attrs=read-write", "f")]
    public async Task AsInLibpq(string entry, string isInRecovery)
    {
        await using PoolerProcess pooler = await StartAsync(entry, routing: "");
        using PgWire client = await pooler.LoginAsync("app");
        for (int i = 0; i < 10; i++)
            Assert.Equal(isInRecovery, (await client.QueryAsync("SELECT pg_is_in_recovery()")).Scalar);
    }

    /// <summary>An entry per purpose: one server is enough for the clients of both.</summary>
    [Fact]
    public async Task TwoEntriesShareTheirServers()
    {
        var ini = new PoolerIni
        {
            Databases =
            {
                ["app"] = fixture.Set.Entry("routing=primary pool_size=1"),
                ["app_ro"] = fixture.Set.Entry("routing=replica share_pools=app", 1, 0, 2),
            },
        };
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire readOnly = await pooler.LoginAsync("app_ro"), app = await pooler.LoginAsync("app");
        string? written = (await app.QueryAsync("SELECT pg_backend_pid()")).Scalar;
        await readOnly.QueryAsync("SELECT 1");
        Assert.Equal("t", (await readOnly.QueryAsync("SELECT pg_is_in_recovery()")).Scalar);
        Assert.Equal(written, (await app.QueryAsync("SELECT pg_backend_pid()")).Scalar);
        List<Dictionary<string, string?>> servers = await pooler.ConsoleAsync("SHOW SERVERS");
        Assert.All(servers, static server => Assert.Equal("app", server["database"]));
        Assert.InRange(servers.Count, 2, 3);
    }

    /// <summary>Whoever comes first: drivers that look for a host to write to go by what they are told at login.</summary>
    [Theory]
    [InlineData("primary", false)]
    [InlineData("primary", true)]
    [InlineData("read_write_split", false)]
    [InlineData("read_write_split", true)]
    public async Task EntriesThatShareTheirServersGreetAsTheirOwn(string routing, bool isReadOnlyFirst)
    {
        var ini = new PoolerIni
        {
            Databases =
            {
                ["app"] = fixture.Set.Entry($"routing={routing}"),
                ["app_ro"] = fixture.Set.Entry("routing=replica share_pools=app"),
            },
        };
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        await Eventually.EqualsAsync("all hosts are known", 6, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "up"));
        string[] order = isReadOnlyFirst ? ["app_ro", "app", "app_ro", "app"] : ["app", "app_ro", "app", "app_ro"];
        foreach (string name in order)
        {
            using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
            PgReply greeting = await client.StartAsync(("user", PostgresCluster.User), ("database", name));
            Assert.Contains(greeting.Messages, m => m.Type == 'S' && Encoding.UTF8.GetString(m.Body) == $"in_hot_standby\0{(name == "app" ? "off" : "on")}\0");
            Assert.Equal(name == "app" ? "f" : "t", (await client.QueryAsync("/* pooler: primary */ SELECT pg_is_in_recovery()")).Scalar);
        }
    }

    private async Task<PoolerProcess> StartAsync(string entry, string routing = "routing=prefer_replica")
    {
        var ini = new PoolerIni { Databases = { ["app"] = fixture.Set.Entry($"{routing} {entry}") } };
        ini.Settings["zone"] = "a";

        // Whom a loaded machine makes slow to answer a probe would be left out, and the shares be others.
        (ini.Settings["health_check_interval"], ini.Settings["max_replica_lag_time"]) = ("3600", "0");
        PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        await Eventually.EqualsAsync("all hosts are known", 3, async () => (await pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "up"));
        return pooler;
    }

    private static async Task<Dictionary<string, int>> CountAsync(PgWire client, int times)
    {
        Dictionary<string, int> answers = [];
        for (int i = 0; i < times; i++)
        {
            string host = (await client.QueryAsync(Where)).Scalar!;
            answers[host] = answers.GetValueOrDefault(host) + 1;
        }

        return answers;
    }
}
