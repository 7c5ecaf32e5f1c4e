using System.Diagnostics;

namespace Pooler.IntegrationTests;

/// <summary>How many servers and clients there may be, who waits for whom, and which server a client gets.</summary>
public sealed class PoolLimitTests(PostgresCluster postgres)
{
    /// <summary>Two users who share a cap of the database, two databases that share a cap of the user, and two of both that share one host.</summary>
    public static readonly TheoryData<string> SharedCaps = ["max_db_connections", "max_user_connections", "max_host_connections"];

    /// <summary>Clients of a database or a user; under a forced user it is who logged in that counts.</summary>
    [Theory]
    [InlineData("max_db_client_connections", "database")]
    [InlineData("max_db_client_connections", "all")]
    [InlineData("max_user_client_connections", "user")]
    [InlineData("max_user_client_connections", "all")]
    public async Task NoMoreClientsThanItsLimitGetIn(string setting, string where)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] += $" user={PostgresCluster.User}" + (where == "database" ? $" {setting}=2" : "");
            if (where == "user")
                ini.UserSettings["somebody"] = $"{setting}=2";
            if (where == "all")
                ini.Settings[setting] = "2";
            ini.Passwords["somebody"] = "";
        });
        using PgWire first = await pooler.LoginAsync(database, "somebody"), second = await pooler.LoginAsync(database, "somebody");
        using (PgWire third = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await third.SendAsync(PgRequest.Startup(("user", "somebody"), ("database", database)));
            PgMessage error = (await third.ReadToEndAsync()).Single(static m => m.Type == 'E');
            Assert.Equal(("FATAL", "08P01", $"client connections exceeded ({setting})"), (error.Fields()['S'], error.SqlState, error.Fields()['M']));
        }

        first.Dispose();
        await Eventually.EqualsAsync("one has left", 1, async () => (await pooler.PoolCountsAsync(database)).ClientsActive);
        using PgWire again = await pooler.LoginAsync(database, "somebody");
        Assert.Equal("1", (await again.QueryAsync("SELECT 1")).Scalar);
    }

    /// <summary>The user's size goes before the database's, and that before the default.</summary>
    [Theory]
    [InlineData(2, null, null)]
    [InlineData(9, 2, null)]
    [InlineData(9, 8, 2)]
    [InlineData(1, null, 2)]
    [InlineData(1, 2, null)]
    public async Task APoolHasAtMostItsSize(int byDefault, int? ofDatabase, int? ofUser)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: byDefault, adjust: ini =>
        {
            if (ofDatabase is not null)
                ini.Databases[database] += $" pool_size={ofDatabase}";
            if (ofUser is not null)
                ini.UserSettings[PostgresCluster.User] = $"pool_size={ofUser}";
        });
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database), third = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");

        await pooler.SendAndWaitInQueueAsync(third, "SELECT 'served'");
        Assert.Equal(2, await postgres.CountServersAsync(database));

        await second.QueryAsync("COMMIT");
        Assert.Equal("served", (await third.ReadReplyAsync()).Scalar);
        Assert.Equal(2, await postgres.CountServersAsync(database));
    }

    [Fact]
    public async Task TheMinimumIsOpenedForTheFirstClientAndKept()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 4, adjust: static ini =>
        {
            ini.Settings["min_pool_size"] = "2";
            ini.Settings["server_idle_timeout"] = "1";
        });
        Assert.Equal(0, await postgres.CountServersAsync(database));

        using PgWire client = await pooler.LoginAsync(database);
        await Eventually.EqualsAsync("the minimum is open", 2L, () => postgres.CountServersAsync(database));

        // Four at once, of which only the surplus goes when all have been idle too long.
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => pooler.LoginAsync(database)));
        await Task.WhenAll(clients.Select(static wire => wire.QueryAsync("BEGIN")));
        int[] four = await postgres.ServersAsync(database);
        Assert.Equal(4, four.Length);
        await Task.WhenAll(clients.Select(static wire => wire.QueryAsync("COMMIT")));
        int[] left = await Eventually.BecomesAsync("the surplus is closed", () => postgres.ServersAsync(database), static pids => pids.Length <= 2);
        Assert.Subset(four.ToHashSet(), left.ToHashSet());
        Assert.Equal(2, left.Length);
        foreach (PgWire wire in clients)
            wire.Dispose();
    }

    [Fact]
    public async Task TheMinimumIsAtMostThePoolsSize()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler =
            await PoolerProcess.StartAsync(postgres, database, poolSize: 2, adjust: static ini => ini.Settings["min_pool_size"] = "5");
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database), third = await pooler.LoginAsync(database);
        await Eventually.EqualsAsync("the pool is full", 2L, () => postgres.CountServersAsync(database));
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");
        await pooler.SendAndWaitInQueueAsync(third, "SELECT 1");
        Assert.Equal(2, await postgres.CountServersAsync(database));
    }

    [Fact]
    public async Task TheMinimumOfAForcedUserNeedsNoClient()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
            ini.Databases[database] += $" user={PostgresCluster.User} min_pool_size=2");
        await Eventually.EqualsAsync("the minimum is open", 2L, () => postgres.CountServersAsync(database));
    }

    [Fact]
    public async Task TheReserveOpensForAClientThatHasWaitedLongEnough()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini =>
        {
            ini.Settings["reserve_pool_size"] = "1";
            ini.Settings["reserve_pool_timeout"] = "0.5";
        });
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database), third = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");

        long start = Stopwatch.GetTimestamp();
        await waiting.QueryAsync("BEGIN");
        Assert.True(Stopwatch.GetElapsedTime(start) >= TimeSpan.FromSeconds(0.49), $"the reserve opened after {Stopwatch.GetElapsedTime(start)}");
        Assert.Equal(2, await postgres.CountServersAsync(database));

        await pooler.SendAndWaitInQueueAsync(third, "SELECT 'third'");
        await waiting.QueryAsync("COMMIT");
        Assert.Equal("third", (await third.ReadReplyAsync()).Scalar);
        Assert.Equal(2, await postgres.CountServersAsync(database));
    }

    [Theory]
    [InlineData("0", "0.1")]
    [InlineData("3", "0")]
    public async Task WithoutAReserveTheyWait(string size, string timeout)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["reserve_pool_size"] = size;
            ini.Settings["reserve_pool_timeout"] = timeout;
            ini.Settings["query_wait_timeout"] = "1.2";
        });
        using PgWire holder = await pooler.LoginAsync(database), waiting = await pooler.LoginAsync(database);
        await holder.QueryAsync("BEGIN");
        await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
        await waiting.AssertFatalAsync("query_wait_timeout");
        Assert.Equal(1, await postgres.CountServersAsync(database));
    }

    [Fact]
    public async Task OneClientTooManyIsRefusedUntilAnotherLeaves()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["max_client_conn"] = "2");
        using PgWire first = await pooler.LoginAsync(database);
        PgWire second = await pooler.LoginAsync(database);
        for (int i = 0; i < 3; i++)
        {
            using PgWire tooMany = await PgWire.ConnectAsync(pooler.EndPoint);
            await tooMany.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
            await tooMany.AssertFatalAsync("no more connections allowed (max_client_conn)");
        }

        // Those who are in notice nothing, and the operator gets in.
        Assert.Equal("1", (await first.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("2", (await second.QueryAsync("SELECT 2")).Scalar);
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW VERSION"));

        second.Dispose();
        await Eventually.EqualsAsync("the place is free again", 'Z', async () =>
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            return (await wire.StartAsync(("user", PostgresCluster.User), ("database", database))).Messages[^1].Type;
        });
    }

    [Theory, MemberData(nameof(SharedCaps))]
    public Task TheIdleServerOfAnotherPoolGivesWay(string cap) => WithTwoPoolsAsync(cap, limit: 1, async (pooler, databases, one, other) =>
    {
        int server = await one.ServerAsync();
        Assert.NotEqual(server, await other.ServerAsync());
        await Eventually.EqualsAsync("the other is gone", 1, async () => (await ServersOfAsync(databases)).Length);
        Assert.NotEqual(server, await one.ServerAsync());
        await Eventually.EqualsAsync("the other is gone", 1, async () => (await ServersOfAsync(databases)).Length);
    });

    [Theory, MemberData(nameof(SharedCaps))]
    public Task APoolOfItsOwnSizeStaysBelowTheSharedCap(string cap) => WithTwoPoolsAsync(cap, limit: 2, async (pooler, databases, one, other) =>
    {
        await one.QueryAsync("BEGIN");
        await other.QueryAsync("BEGIN");
        using PgWire third = await PgWire.ConnectAsync(pooler.EndPoint);
        await third.LoginAsync(databases[0], PostgresCluster.User);
        await pooler.SendAndWaitInQueueAsync(third, "SELECT 'served'");
        Assert.Equal(2, (await ServersOfAsync(databases)).Length);
        await one.QueryAsync("COMMIT");
        Assert.Equal("served", (await third.ReadReplyAsync()).Scalar);
        Assert.Equal(2, (await ServersOfAsync(databases)).Length);
    });

    [Theory, MemberData(nameof(SharedCaps))]
    public Task AReleaseWakesTheWaiterOfTheOtherPoolAtOnce(string cap) => WithTwoPoolsAsync(cap, limit: 1, async (pooler, _, one, other) =>
    {
        // A pool that only looks again every third of a second would need two seconds for these on the average, and its median tells.
        var times = new List<double>();
        for (int round = 0; round < 11; round++)
        {
            (PgWire holder, PgWire waiter) = round % 2 == 0 ? (one, other) : (other, one);
            await holder.QueryAsync("BEGIN");
            await pooler.SendAndWaitInQueueAsync(waiter, "SELECT 'served'");
            long start = Stopwatch.GetTimestamp();
            await holder.QueryAsync("COMMIT");
            Assert.Equal("served", (await waiter.ReadReplyAsync()).Scalar);
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        double median = times.Order().ElementAt(times.Count / 2);
        Assert.True(median < 100, $"the hand-over took {median:0} ms: {string.Join(' ', times.Select(static time => $"{time:0}"))}");
    });

    [Theory, MemberData(nameof(SharedCaps))]
    public Task AServerThatDiesFreesItsPlaceForTheOtherPool(string cap) => WithTwoPoolsAsync(cap, limit: 1, async (pooler, databases, one, other) =>
    {
        await one.QueryAsync("BEGIN");
        await pooler.SendAndWaitInQueueAsync(other, "SELECT 'served'");
        await postgres.ExecuteAsync(PostgresCluster.Superuser,
            $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY ('{{{string.Join(',', databases)}}}')");
        Assert.Equal("served", (await other.ReadReplyAsync()).Scalar);
    });

    /// <summary>A pool that may not grow has no use for another's place.</summary>
    [Theory, MemberData(nameof(SharedCaps))]
    public Task APoolThatIsFullEvictsNobody(string cap) => WithTwoPoolsAsync(cap, limit: 2, async (pooler, databases, one, other) =>
    {
        await one.QueryAsync("BEGIN");
        int idle = await other.ServerAsync();
        for (int i = 0; i < 3; i++)
        {
            using PgWire third = await pooler.LoginAsync(databases[0]);
            await third.SendAsync(new PgRequest().Query("SELECT 1"));
            await third.AssertFatalAsync("query_wait_timeout");
        }

        Assert.Equal(idle, await other.ServerAsync());
    }, static ini =>
    {
        ini.Settings["default_pool_size"] = "1";
        ini.Settings["query_wait_timeout"] = "0.5";
    });

    /// <summary>Clients of one pool that take turns for ever never let its server become idle.</summary>
    [Theory, MemberData(nameof(SharedCaps))]
    public Task ABusyPoolLeavesPlacesToOthers(string cap) => WithTwoPoolsAsync(cap, limit: 1, async (pooler, databases, one, other) =>
    {
        var stop = new CancellationTokenSource();
        Task[] busy = [.. Enumerable.Range(0, 4).Select(_ => KeepBusyAsync(pooler, databases[0], stop.Token))];
        await pooler.RequestsPassAsync(databases[0], 50);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal($"{i}", (await other.QueryAsync($"SELECT {i}")).Scalar);
            await pooler.RequestsPassAsync(databases[0], 20);
        }

        await stop.CancelAsync();
        await Task.WhenAll(busy);
    }, static ini => ini.Settings["query_wait_timeout"] = "10");

    /// <summary>A cap per host: the next host of a list that has a place is taken, and when none has, clients wait and are told so.</summary>
    [Fact]
    public async Task NoHostGetsMoreServersThanItsCap()
    {
        string database = await postgres.CreateDatabaseAsync(), alone = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] = $"host=127.0.0.1,{postgres.Folder} port={postgres.Port} dbname={database}";
            ini.Databases[alone] = $"host=127.0.0.1 port={postgres.Port} dbname={alone}";
            ini.Settings["max_host_connections"] = "2";
            ini.Settings["query_wait_notify"] = "1";
            ini.Settings["query_wait_timeout"] = "3";
        });
        using PgWire first = await pooler.LoginAsync(alone), second = await pooler.LoginAsync(alone);
        await first.QueryAsync("BEGIN");
        await second.QueryAsync("BEGIN");
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => pooler.LoginAsync(database)));
        foreach (PgWire client in clients[..2])
        {
            await client.QueryAsync("BEGIN");
            Assert.Equal("unix", (await client.QueryAsync("SELECT coalesce(host(inet_client_addr()), 'unix')")).Scalar);
        }

        await clients[2].SendAsync(new PgRequest().Query("SELECT 1"));
        List<PgMessage> told = await clients[2].ReadToEndAsync();
        Assert.Equal(["No server connection available in postgres backend, client being queued", "query_wait_timeout"], told.Select(static m => m.Fields()['M']));

        // A cancel waits for no place.
        await clients[0].SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await postgres.RunsAsync(database, "pg_sleep(60)");
        using (PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await cancel.SendAsync(PgRequest.Cancel(clients[0].Key));
            await cancel.ReadToEndAsync();
        }

        Assert.Equal("57014", (await clients[0].ReadReplyAsync()).Error!.Value.SqlState);
        Array.ForEach(clients, static client => client.Dispose());
    }

    [Fact]
    public async Task ThePlaceGoesToThePoolThatHasWaitedLongest()
    {
        string database = await postgres.CreateDatabaseAsync();
        string[] entries = ["p0", "p1", "p2", "p3"];
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["max_user_connections"] = "1";
            ini.Settings["workers"] = "1";
            foreach (string entry in entries)
                ini.Databases[entry] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
        });

        // Logged in in one order, so that the pools exist in it, and waiting in another.
        PgWire[] clients = [.. await LoginAllAsync(pooler, entries)];
        await clients[0].QueryAsync("BEGIN");
        int[] order = [2, 3, 1];
        for (int i = 0; i < order.Length; i++)
            await pooler.SendAndWaitInQueueAsync(clients[order[i]], "BEGIN", waiting: i + 1);

        await clients[0].QueryAsync("COMMIT");
        foreach (int next in order)
        {
            Assert.Equal('T', (await clients[next].ReadReplyAsync().WaitAsync(Patience.Default)).TransactionStatus);
            await clients[next].QueryAsync("COMMIT");
        }

        foreach (PgWire client in clients)
            client.Dispose();
    }

    [Fact]
    public async Task TheServerUsedLastIsUsedNext()
    {
        (PoolerProcess pooler, PgWire[] clients, int[] servers) = await WithThreeIdleServersAsync(roundRobin: false);
        await using PoolerProcess _ = pooler;
        for (int i = 0; i < 6; i++)
        {
            await Task.Delay(2); // No fact to wait for: another client gets the last of those that have rested for 0.2 ms.
            Assert.Equal(servers[^1], await clients[i % 3].ServerAsync());
            Assert.Equal(servers[^1], await clients[i % 3].ServerAsync());
        }
    }

    [Fact]
    public async Task RoundRobinUsesAllServersInTurn()
    {
        (PoolerProcess pooler, PgWire[] clients, int[] servers) = await WithThreeIdleServersAsync(roundRobin: true);
        await using PoolerProcess _ = pooler;
        for (int i = 0; i < 9; i++)
            Assert.Equal(servers[i % 3], await clients[0].ServerAsync());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task ThoseWhoWaitAreServedInTheirOrder(int workers)
    {
        const int Waiting = 12;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler =
            await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini => ini.Settings["workers"] = $"{workers}");
        using PgWire holder = await pooler.LoginAsync(database);
        await holder.QueryAsync("CREATE SEQUENCE turn");
        await holder.QueryAsync("BEGIN");
        PgWire[] clients = [.. await LoginAllAsync(pooler, Enumerable.Repeat(database, Waiting))];
        for (int i = 0; i < Waiting; i++)
        {
            await pooler.SendAndWaitInQueueAsync(clients[i], "SELECT nextval('turn')", waiting: i + 1);
            await Task.Delay(2); // No more: a thread prefers a client of its own to another's that came up to 1 ms earlier.
        }

        await holder.QueryAsync("COMMIT");
        for (int i = 0; i < Waiting; i++)
        {
            Assert.Equal($"{i + 1}", (await clients[i].ReadReplyAsync()).Scalar);
            clients[i].Dispose();
        }
    }

    [Fact]
    public async Task AClientThatGivesUpWaitingTakesNoServer()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        using PgWire holder = await pooler.LoginAsync(database);
        await holder.QueryAsync("CREATE TABLE done (by text)");
        int server = await holder.ServerAsync();
        await holder.QueryAsync("BEGIN");

        PgWire leaving = await pooler.LoginAsync(database), polite = await pooler.LoginAsync(database);
        using PgWire staying = await pooler.LoginAsync(database);
        await pooler.SendAndWaitInQueueAsync(leaving, "INSERT INTO done VALUES ('left')", waiting: 1);
        await pooler.SendAndWaitInQueueAsync(staying, "INSERT INTO done VALUES ('stayed')", waiting: 2);
        leaving.Dispose();

        // It is gone from the queue while the server is still held.
        await pooler.WaitersAreAsync(1);
        Assert.Equal("0", (await holder.QueryAsync("SELECT count(*) FROM done")).Scalar);
        await holder.QueryAsync("COMMIT");
        Assert.Equal("CZ", (await staying.ReadReplyAsync()).Types);
        Assert.Equal("stayed", (await holder.QueryAsync("SELECT string_agg(by, ',') FROM done")).Scalar);
        Assert.Equal(server, await staying.ServerAsync());
        polite.Dispose();
    }

    private static async Task KeepBusyAsync(PoolerProcess pooler, string database, CancellationToken stop)
    {
        using PgWire client = await pooler.LoginAsync(database);
        while (!stop.IsCancellationRequested)
            Assert.Null((await client.QueryAsync("SELECT pg_sleep(0.002)")).Error);
    }

    private static async Task<IEnumerable<PgWire>> LoginAllAsync(PoolerProcess pooler, IEnumerable<string> databases)
    {
        var clients = new List<PgWire>();
        foreach (string database in databases)
            clients.Add(await pooler.LoginAsync(database));
        return clients;
    }

    /// <summary>Three servers, in the order in which they became idle.</summary>
    private async Task<(PoolerProcess Pooler, PgWire[] Clients, int[] Servers)> WithThreeIdleServersAsync(bool roundRobin)
    {
        string database = await postgres.CreateDatabaseAsync();
        PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3, adjust: ini =>
        {
            ini.Settings["server_round_robin"] = roundRobin ? "1" : "0";
            ini.Settings["workers"] = "1";
        });
        PgWire[] clients = [.. await LoginAllAsync(pooler, Enumerable.Repeat(database, 3))];
        await Task.WhenAll(clients.Select(static client => client.QueryAsync("BEGIN")));
        var servers = new List<int>();
        foreach (PgWire client in clients)
        {
            servers.Add(await client.ServerAsync());
            await client.QueryAsync("COMMIT");
        }

        Assert.Equal(3, servers.Distinct().Count());
        return (pooler, clients, [.. servers]);
    }

    private async Task<int[]> ServersOfAsync(IEnumerable<string> databases)
    {
        var servers = new List<int>();
        foreach (string database in databases.Distinct())
            servers.AddRange(await postgres.ServersAsync(database));
        return [.. servers];
    }

    /// <summary>Two clients of two pools that share a cap of so many servers.</summary>
    private async Task WithTwoPoolsAsync(string cap, int limit, Func<PoolerProcess, string[], PgWire, PgWire, Task> test,
        Action<PoolerIni>? adjust = null)
    {
        bool byUser = cap == "max_user_connections", byHost = cap == "max_host_connections";
        string[] databases = [await postgres.CreateDatabaseAsync(), await postgres.CreateDatabaseAsync()];
        string[] own = byUser || byHost ? databases : [databases[0], databases[0]];
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, databases[0], adjust: ini =>
        {
            ini.Databases[databases[1]] = $"host=127.0.0.1 port={postgres.Port} dbname={databases[1]}";
            ini.Settings[cap] = $"{limit}";
            ini.Passwords[PostgresCluster.Superuser] = "";
            adjust?.Invoke(ini);
        });
        using PgWire one = await pooler.LoginAsync(own[0]);
        using PgWire other = await pooler.LoginAsync(own[1], byUser ? PostgresCluster.User : PostgresCluster.Superuser);
        await test(pooler, own, one, other);
    }
}
