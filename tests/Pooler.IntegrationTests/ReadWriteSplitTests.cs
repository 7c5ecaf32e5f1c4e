namespace Pooler.IntegrationTests;

/// <summary>routing = read_write_split: which host answers. One primary, one standby, one pooler; each test has clients of its own.</summary>
public sealed class ReadWriteSplitTests(ReadWriteSplitTests.Hosts fixture) : IClassFixture<ReadWriteSplitTests.Hosts>
{
    private const string Database = "app", Where = "SELECT inet_server_port()";
    private const string Primary = "primary", Replica = "replica";

    /// <summary>A primary, a standby and a pooler before them.</summary>
    public sealed class Hosts : IAsyncLifetime
    {
        internal ReplicaSet Set { get; private set; } = null!;

        internal PoolerProcess Pooler { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Set = await ReplicaSet.StartAsync(standbys: 1);
            await Set.Primary.ExecuteAsync("""
                CREATE TABLE t (id int);
                CREATE SEQUENCE s;
                CREATE FUNCTION hidden_write() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM nextval(''s''); RETURN inet_server_port(); END';
                CREATE FUNCTION allowed() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT inet_server_port()';
                CREATE FUNCTION denied() RETURNS int LANGUAGE sql STABLE AS 'SELECT inet_server_port()';
                CREATE FUNCTION wide(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT inet_server_port()';
                """);
            await Set.CatchUpAsync(1);
            var ini = new PoolerIni();
            ini.Databases[Database] = Set.Entry("routing=read_write_split read_after_write=off read_only_functions=allowed volatile_functions=denied");
            ini.Databases["keeping"] = Set.Entry("routing=read_write_split pool_mode=session");
            ini.Settings["health_check_interval"] = "0.05";
            ini.Settings.Remove("ignore_startup_parameters");
            Pooler = await PoolerProcess.StartAsync(ini);
            using PgWire client = await Pooler.LoginAsync(Database);
            await Eventually.EqualsAsync("the catalogue is known", $"{Set.Hosts[1].Port}", async () => (await client.QueryAsync(Where)).Scalar);
            using PgWire other = await Pooler.LoginAsync("keeping");
            await Eventually.EqualsAsync("both entries see their replica", 4, async () => (await Pooler.ConsoleAsync("SHOW HOSTS")).Count(static h => h["status"] == "up"));
        }

        public async ValueTask DisposeAsync()
        {
            await Pooler.DisposeAsync();
            await Set.DisposeAsync();
        }
    }

    [Theory]
    [InlineData(Where, Replica)]
    [InlineData("SELECT inet_server_port(), id FROM t UNION ALL SELECT inet_server_port(), 1", Replica)]
    [InlineData("INSERT INTO t VALUES (1) RETURNING inet_server_port()", Primary)]
    [InlineData("WITH w AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT inet_server_port() FROM w", Primary)]
    [InlineData("SELECT inet_server_port() FROM (VALUES (1)) v FOR UPDATE", Primary)]
    [InlineData("SELECT inet_server_port(), nextval('s')", Primary)]
    [InlineData("SELECT inet_server_port(), pg_is_in_recovery()", Primary)]
    [InlineData("SELECT allowed()", Replica)]
    [InlineData("SELECT denied()", Primary)]
    [InlineData("SELECT inet_server_port(), unheard_of FROM (VALUES (1)) v (unheard_of)", Replica)]
    [InlineData("/* pooler: primary */ SELECT inet_server_port()", Primary)]
    [InlineData("SELECT inet_server_port() /* pooler: replica */ WHERE nextval('s') IS NULL OR true", Replica)]
    public async Task AQueryGoesWhereItsTextSays(string sql, string role)
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        PgReply simple = await client.QueryAsync(sql);
        if (simple.Error == null)
            Assert.Equal(role, RoleOf(simple));

        await client.SendAsync(new PgRequest().Parse("", sql).Bind("", "").Describe('P', "").Execute().Sync());
        PgReply extended = await client.ReadReplyAsync();
        Assert.Equal(simple.Error?.SqlState, extended.Error?.SqlState);
        if (extended.Error == null)
            Assert.Equal(role, RoleOf(extended));
        else
            Assert.Equal((Replica, "25006"), (role, extended.Error.Value.SqlState));
    }

    [Fact]
    public async Task APreparedStatementKeepsItsClass()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        await client.SendAsync(new PgRequest().Parse("r", Where).Parse("w", "INSERT INTO t VALUES ($1) RETURNING inet_server_port()").Sync());
        Assert.Null((await client.ReadReplyAsync()).Error);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(Replica, await RunAsync(client, new PgRequest().Bind("", "r").Execute().Sync()));
            Assert.Equal(Primary, await RunAsync(client, new PgRequest().Bind("", "w", "1").Execute().Sync()));
        }

        // A batch goes as one: the strongest says where.
        await client.SendAsync(new PgRequest().Bind("", "r").Execute().Bind("", "w", "1").Execute().Sync());
        Assert.Equal([Primary, Primary], (await client.ReadReplyAsync()).Rows.Select(row => RoleOf(row[0])));
    }

    [Theory]
    [InlineData("BEGIN", Primary)]
    [InlineData("BEGIN READ ONLY", Replica)]
    [InlineData("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", Replica)]
    [InlineData("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", Primary)]
    [InlineData("BEGIN READ WRITE /* pooler: replica */", Primary)]
    [InlineData("BEGIN /* pooler: replica */", Replica)]
    public async Task ATransactionStaysOnItsHost(string begin, string role)
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        Assert.Null((await client.QueryAsync(begin)).Error);
        Assert.Equal(role, RoleOf(await client.QueryAsync(Where)));
        Assert.Equal(role, RoleOf(await client.QueryAsync("SELECT inet_server_port() /* pooler: primary */")));
        PgReply write = await client.QueryAsync("INSERT INTO t VALUES (1) RETURNING inet_server_port()");
        Assert.Equal(role == Replica || begin.Contains("ONLY") ? "25006" : null, write.Error?.SqlState);
        await client.QueryAsync("ROLLBACK");
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));
    }

    /// <summary>Sent at once: each request goes where it would go alone, as far as its place in the order allows.</summary>
    [Fact]
    public async Task AWriteBehindAReadWaitsForThePrimary()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        const string Insert = "INSERT INTO t VALUES (2) RETURNING inet_server_port()";
        await client.SendAsync(new PgRequest()
            .Query(Where).Query(Where).Query(Insert).Query(Where)
            .Parse("", Insert).Bind("", "").Execute().Sync().Query("SET application_name = 'x'").Query(Where));
        foreach (string expected in (string[])[Replica, Replica, Primary, Primary, Primary])
            Assert.Equal(expected, RoleOf(await client.ReadReplyAsync()));
        Assert.Null((await client.ReadReplyAsync()).Error);
        Assert.Equal(Primary, RoleOf(await client.ReadReplyAsync())); // Behind a write, on the server of the write.
        Assert.Equal("x", (await client.QueryAsync("SHOW application_name")).Scalar);

        await client.SendAsync(new PgRequest().Query("BEGIN READ ONLY").Query(Where).Query("COMMIT").Query(Insert).Query("BEGIN READ ONLY").Query(Where).Query("COMMIT"));
        Assert.Equal('T', (await client.ReadReplyAsync()).TransactionStatus);
        Assert.Equal(Replica, RoleOf(await client.ReadReplyAsync()));
        Assert.Equal('I', (await client.ReadReplyAsync()).TransactionStatus);
        Assert.Equal(Primary, RoleOf(await client.ReadReplyAsync()));
        for (int i = 0; i < 3; i++)
            Assert.Null((await client.ReadReplyAsync()).Error);
    }

    [Fact]
    public async Task WhatLivesInASessionGoesToThePrimary()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        Assert.Null((await client.QueryAsync("LISTEN news")).Error);
        Assert.Equal(Primary, RoleOf(await client.QueryAsync(Where)));
        Assert.Null((await client.QueryAsync("UNLISTEN *")).Error);
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));

        // What servers report follows the client.
        Assert.Null((await client.QueryAsync("SET DateStyle = 'German'")).Error);
        Assert.Equal("01.02.2003", (await client.QueryAsync("SELECT '2003-02-01'::date")).Scalar);
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));
        Assert.Null((await client.QueryAsync("DISCARD ALL")).Error);
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));
    }

    [Fact]
    public async Task WhatDoesNotFitIntoTheLookAheadIsAWrite()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        Assert.Equal(Primary, RoleOf(await client.QueryAsync(Where + " /* " + new string('x', 20_000) + " */")));
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where + " /* " + new string('x', 10_000) + " */")));
    }

    [Fact]
    public async Task SerializableGoesToThePrimary()
    {
        using PgWire client = await PgWire.ConnectAsync(fixture.Pooler.EndPoint);
        await client.LoginAsync(Database, PostgresCluster.User, ("options", "-c default_transaction_isolation=serializable"));
        Assert.Equal(Primary, RoleOf(await client.QueryAsync(Where)));
    }

    [Fact]
    public async Task InSessionModeAClientKeepsThePrimary()
    {
        using PgWire client = await fixture.Pooler.LoginAsync("keeping");
        Assert.Equal(Primary, RoleOf(await client.QueryAsync(Where)));
        Assert.Equal(Primary, RoleOf(await client.QueryAsync("BEGIN READ ONLY; SELECT inet_server_port()")));
    }

    /// <summary>It took itself for a read, and a replica would not run it: nobody sees that, and the next one knows better.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task WhatAReplicaRefusesRunsOnThePrimary(int shape)
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        await client.QueryAsync("SET application_name = 'netted'");
        string sql = $"SELECT hidden_write() AS shape_{shape}";
        long before = await fixture.Set.Primary.ScalarAsync<long>("SELECT nextval('s')");
        PgRequest request = shape switch
        {
            0 => new PgRequest().Query(sql),
            1 => new PgRequest().Parse("", sql).Bind("", "").Describe('P', "").Execute().Sync(),
            2 => new PgRequest().Parse("netted", sql).Bind("", "netted").Describe('P', "").Execute().Sync(),
            _ => new PgRequest().Query(sql).Query(Where),
        };
        for (int i = 0; i < 2; i++)
        {
            await client.SendAsync(request);
            PgReply reply = await client.ReadReplyAsync();
            if (i == 1 && shape == 2)
            {
                Assert.Equal("42P05", reply.Error?.SqlState); // The name is there: the first run was seen once.
                break;
            }

            Assert.Equal(Primary, RoleOf(reply));
            Assert.Equal(shape is 0 or 3 ? "TDCZ" : "12TDCZ", reply.Types);
            if (shape == 3)
                Assert.Equal(Primary, RoleOf(await client.ReadReplyAsync()));
            Assert.Equal(before + 1 + i, await fixture.Set.Primary.ScalarAsync<long>("SELECT last_value FROM s"));
        }

        Assert.Equal("netted", (await client.QueryAsync("SHOW application_name")).Scalar);
        if (shape == 2)
            Assert.Equal(Primary, await RunAsync(client, new PgRequest().Bind("", "netted").Execute().Sync()));

        // Of another value, by another client: the same statement, which a READ ONLY transaction gets the error of.
        using PgWire other = await fixture.Pooler.LoginAsync(Database);
        Assert.Equal(Primary, RoleOf(await other.QueryAsync(sql)));
        await other.QueryAsync("BEGIN READ ONLY");
        Assert.Equal("25006", (await other.QueryAsync(sql)).Error?.SqlState);
        await other.QueryAsync("ROLLBACK");
    }

    /// <summary>Recovery needs what a read holds: it is run again elsewhere, unseen.</summary>
    [Fact]
    public async Task AReadThatRecoveryEndsRunsElsewhere()
    {
        PostgresHost standby = fixture.Set.Hosts[1];
        await fixture.Set.Primary.ExecuteAsync("CREATE TABLE in_the_way (id int)");
        await fixture.Set.CatchUpAsync(1);
        await standby.ExecuteAsync("ALTER SYSTEM SET max_standby_streaming_delay = 0");
        await standby.ExecuteAsync("SELECT pg_reload_conf()");
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        await client.SendAsync(new PgRequest()
            .Parse("", $"SELECT inet_server_port(), CASE inet_server_port() WHEN {standby.Port} THEN pg_sleep(60)::text END FROM (SELECT count(*) FROM in_the_way) c")
            .Bind("", "").Describe('P', "").Execute().Sync());
        await Eventually.EqualsAsync("the standby runs it", 1L, () => standby.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"));
        await fixture.Set.Primary.ExecuteAsync("TRUNCATE in_the_way");
        PgReply reply = await client.ReadReplyAsync();
        Assert.Equal(Primary, RoleOf(reply));
        Assert.Equal("12TDCZ", reply.Types);
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));
    }

    [Fact]
    public async Task WhatStandbysDoNotHaveIsReadOnThePrimary()
    {
        await fixture.Set.Primary.ExecuteAsync("CREATE UNLOGGED TABLE IF NOT EXISTS unlogged AS SELECT 1 AS id");
        await fixture.Set.CatchUpAsync(1);
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        Assert.Equal(Primary, RoleOf(await client.QueryAsync("SELECT inet_server_port() FROM unlogged")));
    }

    /// <summary>A function made volatile through here is a write soon after.</summary>
    [Fact]
    public async Task ChangesOfFunctionsAreSeen()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        await client.QueryAsync("CREATE OR REPLACE FUNCTION turning() RETURNS int LANGUAGE sql STABLE AS 'SELECT inet_server_port()'");
        await fixture.Set.CatchUpAsync(1);
        await Eventually.EqualsAsync("it is known", Replica, async () => RoleOf(await client.QueryAsync("SELECT turning()")));
        await client.QueryAsync("BEGIN");
        await client.QueryAsync("ALTER FUNCTION turning() VOLATILE");
        await client.QueryAsync("COMMIT");
        await Eventually.EqualsAsync("it is volatile", Primary, async () => RoleOf(await client.QueryAsync("SELECT turning()")));
    }

    /// <summary>A pin fixes the host; a write there is refused by PostgreSQL, and the reason told.</summary>
    [Fact]
    public async Task AWriteOfAClientPinnedToAReplicaIsToldWhy()
    {
        using PgWire client = await fixture.Pooler.LoginAsync(Database);
        Assert.Null((await client.QueryAsync("SET work_mem = '5MB' /* pooler: replica */")).Error);
        Assert.Equal(Replica, RoleOf(await client.QueryAsync(Where)));
        PgMessage? error = (await client.QueryAsync("INSERT INTO t VALUES (1)")).Error;
        Assert.Equal("25006", error?.SqlState);
        Assert.Contains("SET of what servers do not report", error!.Value.Fields()['H'], StringComparison.Ordinal);
        Assert.Null((await client.QueryAsync("DISCARD ALL")).Error);
        Assert.Null((await client.QueryAsync("INSERT INTO t VALUES (1)")).Error);
    }

    private async Task<string> RunAsync(PgWire client, PgRequest request)
    {
        await client.SendAsync(request);
        return RoleOf(await client.ReadReplyAsync());
    }

    private string RoleOf(PgReply reply)
    {
        Assert.True(reply.Error == null, $"{reply}");
        return RoleOf(reply.Rows.First()[0]);
    }

    private string RoleOf(string? port) => port == $"{fixture.Set.Primary.Port}" ? Primary : port == $"{fixture.Set.Hosts[1].Port}" ? Replica : $"{port}?";
}
