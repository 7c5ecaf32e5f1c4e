using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>How servers are connected, checked and ended, and what clients hear when there is none.</summary>
public sealed class ServerLifeTests(PostgresCluster postgres)
{
    [Fact]
    public async Task AServerThatNeverAnswers()
    {
        await using var server = new FakeServer(static connection => Task.Delay(Timeout.Infinite));
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, static ini => ini.Settings["server_connect_timeout"] = "0.5");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        Assert.Equal("connect timeout", error.Fields()['M']);
    }

    [Fact]
    public async Task AServerThatIsDownIsToldOfAtOnceUntilItIsBack()
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next();
        await using PoolerProcess pooler = await StartBeforeAsync(port, ini =>
        {
            ini.Databases["d"] += $" dbname={database}";
            ini.Settings["server_login_retry"] = "2";
        });

        long start = Stopwatch.GetTimestamp();
        string first = await LoginErrorAsync(pooler);
        Assert.Contains("connect failed", first, StringComparison.Ordinal);
        Assert.Contains("Connection refused", first, StringComparison.Ordinal);
        for (int i = 0; i < 3; i++)
            Assert.Equal($"server login has been failing, cached error: {first} (server_login_retry)", await LoginErrorAsync(pooler));
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1.9), "the cached error should come at once");

        await using FakeServer server = FakeServer.Relay(postgres, port);
        await Eventually.EqualsAsync("the server is used again", "", () => LoginErrorAsync(pooler));
        Assert.True(Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(1.9), "it was tried before its time");
    }

    [Fact]
    public async Task TheServersOwnErrorIsCachedToo()
    {
        await using var server = new FakeServer(static async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Error("FATAL", "53100", "out of everything"));
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, static ini => ini.Settings["server_login_retry"] = "15");
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        Assert.Equal(("out of everything", "53100"), (error.Fields()['M'], error.SqlState));
        using PgWire second = await PgWire.ConnectAsync(pooler.EndPoint);
        error = (await second.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        Assert.Equal(("server login has been failing, cached error: out of everything (server_login_retry)", "53100"), (error.Fields()['M'], error.SqlState));
        Assert.Equal(1, server.Accepted);
    }

    /// <summary>57P03: it will be there in a moment, so nobody waits for server_login_retry.</summary>
    [Fact]
    public async Task AServerThatIsStartingDoesNotPoisonThePool()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using var server = new FakeServer(async connection =>
        {
            if (connection.Number > 2)
            {
                await connection.RelayAsync(postgres.Port);
                return;
            }

            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Error("FATAL", "57P03", "the database system is starting up"));
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, ini =>
        {
            ini.Databases["d"] += $" dbname={database}";
            ini.Settings["server_login_retry"] = "60";
        });

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = (await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        Assert.Equal(("the database system is starting up", "57P03"), (error.Fields()['M'], error.SqlState));
        await Eventually.EqualsAsync("the server is used", "", () => LoginErrorAsync(pooler), TimeSpan.FromSeconds(20));
    }

    /// <summary>Who is in already waits for the server to come back, until query_wait_timeout.</summary>
    [Fact]
    public async Task AWaitingClientOutlivesItsServersAbsence()
    {
        string database = await postgres.CreateDatabaseAsync();
        FakeServer server = FakeServer.Relay(postgres);
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, ini =>
        {
            ini.Databases["d"] += $" dbname={database}";
            ini.Settings["server_login_retry"] = "0.5";
        });
        using PgWire wire = await pooler.LoginAsync("d");
        await wire.QueryAsync("SELECT 1");
        await server.DisposeAsync();
        await pooler.SendAndWaitInQueueAsync(wire, "SELECT 'back'");
        await Eventually.BecomesAsync("the connect has failed", () => Task.FromResult(pooler.Log), static log => log.Contains("Connection refused"));

        await using FakeServer again = FakeServer.Relay(postgres, server.Port);
        Assert.Equal("back", (await wire.ReadReplyAsync()).Scalar);
    }

    /// <summary>Its reply is whole, so its client has lost nothing, and goes on with another.</summary>
    [Fact]
    public async Task AServerThatDiesRightBehindItsReplyIsNotMissed()
    {
        await using var server = new FakeServer(static async connection =>
        {
            await connection.ReadStartupAsync();
            await connection.SendAsync(FakeConnection.Welcome());
            while ((await connection.ReadAsync()).Type is not ('Q' or 'S'))
            {
            }

            PgRequest reply = new();
            if (connection.Number == 1)
                reply.Message('1', static _ => { }).Message('2', static _ => { });
            reply.Message('C', static body => PgRequest.WriteText(body, "SELECT 0")).Message('Z', static body => PgRequest.WriteByte(body, (byte)'I'));
            byte[] goodbye = connection.Number == 1 ? FakeConnection.Error("FATAL", "57P01", "terminating connection").ToArray() : [];
            await connection.SendAsync([.. reply.ToArray(), .. goodbye]);
            if (connection.Number > 1)
                await connection.ReadAsync();
        });
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, static ini => ini.Databases["d"] += " pool_size=1");
        using PgWire wire = await pooler.LoginAsync("d");
        await wire.SendAsync(new PgRequest().Parse("", "SELECT 1").Bind("", "").Execute().Sync());
        Assert.Equal("12CZ", (await wire.ReadReplyAsync()).Types);
        wire.ReadLimit = TimeSpan.FromSeconds(10);
        Assert.Equal("CZ", (await wire.QueryAsync("SELECT 2")).Types);
        Assert.Equal(2, server.Accepted);
    }

    [Fact]
    public async Task AnIdleServerIsClosed()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["server_idle_timeout"] = "0.5");
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        await Eventually.EqualsAsync("the idle server is closed", 0L, () => postgres.CountServersAsync(database));
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact]
    public async Task AnOldServerIsClosedWhenItIsIdle()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["server_lifetime"] = "0.5");
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("BEGIN");
        int server = await client.ServerAsync();
        Assert.Equal('T', (await client.QueryAsync("SELECT pg_sleep(1.2)")).TransactionStatus);
        Assert.Equal(server, await client.ServerAsync());
        await client.QueryAsync("COMMIT");
        await Eventually.EqualsAsync("the old server is closed", 0L, () => postgres.CountServersAsync(database));
        Assert.NotEqual(server, await client.ServerAsync());
    }

    /// <summary>Servers that were opened together go one by one, a pool_size-th part of the lifetime apart (PgBouncer's life_over).</summary>
    [Fact]
    public async Task OldServersAreClosedOneByOne()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 4, adjust: static ini => ini.Settings["server_lifetime"] = "3.6");
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => pooler.LoginAsync(database)));
        await Task.WhenAll(clients.Select(static client => client.QueryAsync("BEGIN")));
        await Task.WhenAll(clients.Select(static client => client.QueryAsync("COMMIT")));
        await Eventually.EqualsAsync("the old servers are closed", 0L, () => postgres.CountServersAsync(database));
        string[] ends = await Eventually.BecomesAsync("each end is in the log",
            () => Task.FromResult(pooler.LogLines.Where(static line => line.Contains("server lifetime over", StringComparison.Ordinal)).ToArray()), static lines => lines.Length == 4);
        DateTime[] times = [.. ends.Select(static line => DateTime.Parse(Regex.Match(line, @"\d\d:\d\d:\d\d\.\d+").Value, CultureInfo.InvariantCulture)).Order()];
        Assert.All(times.Zip(times[1..]), static pair => Assert.InRange((pair.Second - pair.First).TotalSeconds, 0.85, 86_400));
        Array.ForEach(clients, static client => client.Dispose());
    }

    [Fact]
    public async Task WithoutALifetimeAServerIsUsedOnce()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["server_lifetime"] = "0");
        using PgWire client = await pooler.LoginAsync(database);
        var servers = new HashSet<int>();
        for (int i = 0; i < 5; i++)
            servers.Add(await client.ServerAsync());
        Assert.Equal(5, servers.Count);
    }

    [Theory]
    [InlineData("0", "SELECT 'still there'", true)]
    [InlineData("30", "SELECT 'still there'", false)]
    [InlineData("0", "", false)]
    public async Task AServerIsCheckedWhenItWasIdleTooLong(string delay, string query, bool isChecked)
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.LogStatementsAsync(database);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["server_check_delay"] = delay;
            ini.Settings["server_check_query"] = query;
        });
        using PgWire client = await pooler.LoginAsync(database);
        for (int i = 0; i < 3; i++)
            Assert.Equal($"{i}", (await client.QueryAsync($"SELECT {i}")).Scalar);

        List<string> statements = (await postgres.LoggedStatementsAsync(database)).SkipWhile(static text => text != "SELECT 0").ToList();
        Assert.Equal(isChecked ? ["SELECT 0", query, "SELECT 1", query, "SELECT 2"] : ["SELECT 0", "SELECT 1", "SELECT 2"], statements);
    }

    [Fact]
    public async Task AnEmptyCheckIsAnEmptyQuery()
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.LogStatementsAsync(database);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["server_check_delay"] = "0");
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 0");
        await client.QueryAsync("SELECT 1");
        Assert.Equal(["SELECT 0", "", "SELECT 1"], (await postgres.LoggedStatementsAsync(database)).SkipWhile(static text => text != "SELECT 0"));
    }

    [Fact]
    public async Task AServerThatFailsTheCheckIsReplaced()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini =>
        {
            ini.Settings["server_check_delay"] = "0";
            ini.Settings["server_check_query"] = "SELECT 1/0";
        });
        using PgWire client = await pooler.LoginAsync(database);
        int server = await client.ServerAsync();
        Assert.NotEqual(server, await client.ServerAsync());
        await Eventually.EqualsAsync("the old server is gone", 1L, () => postgres.CountServersAsync(database));
    }

    /// <summary>The machine behind it is gone, and nothing says so.</summary>
    [Fact]
    public async Task AServerThatDoesNotAnswerTheCheckIsReplaced()
    {
        string database = await postgres.CreateDatabaseAsync();
        var silenced = new TaskCompletionSource();
        await using var server = new FakeServer(connection => connection.RelayAsync(postgres.Port, connection.Number == 1 ? silenced.Task : null));
        await using PoolerProcess pooler = await StartBeforeAsync(server.Port, ini =>
        {
            ini.Databases["d"] += $" dbname={database} pool_size=1";
            ini.Settings["server_check_delay"] = "0";
            ini.Settings["server_connect_timeout"] = "0.5";
        });
        using PgWire client = await pooler.LoginAsync("d");
        int first = await client.ServerAsync();
        silenced.SetResult();
        Assert.NotEqual(first, await client.ServerAsync());
        Assert.Equal(2, server.Accepted);
    }

    /// <summary>"" when a client can log in and is served, else what it is told.</summary>
    private static async Task<string> LoginErrorAsync(PoolerProcess pooler)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage last = (await wire.StartAsync(("user", PostgresCluster.User), ("database", "d"))).Messages[^1];
        return last.Type == 'E' ? last.Fields()['M'] : "";
    }

    private static async Task<PoolerProcess> StartBeforeAsync(int port, Action<PoolerIni> adjust)
    {
        var ini = new PoolerIni();
        ini.Databases["d"] = $"host=127.0.0.1 port={port}";
        adjust(ini);
        return await PoolerProcess.StartAsync(ini);
    }
}
