namespace Pooler.IntegrationTests;

/// <summary>A client keeps its server while it holds what no other server has, and not a moment longer.</summary>
public sealed class PinTests(PostgresCluster postgres)
{
    private const string Temporary = "a temporary table", Lock = "a session's advisory lock", Listen = "LISTEN",
        Cursor = "a cursor WITH HOLD", Setting = "SET of what servers do not report", Prepared = "a prepared statement";

    /// <summary>What pins, how its client sees that it is there, its reason, and what ends it.</summary>
    public static readonly TheoryData<string, string, string, string, string> Pins = new()
    {
        { "LISTEN news", "SELECT pg_listening_channels()", "news", Listen, "UNLISTEN news" },
        { "BEGIN; LISTEN news; COMMIT", "SELECT pg_listening_channels()", "news", Listen, "UNLISTEN *" },
        { "SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "1", Lock, "SELECT pg_advisory_unlock(7)" },
        { "SELECT pg_try_advisory_lock_shared(7, 8)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "1", Lock, "SELECT pg_advisory_unlock_all()" },
        { "CREATE TEMP TABLE mine AS SELECT 'row' AS a", "SELECT a FROM mine", "row", Temporary, "DROP TABLE mine" },
        { "SELECT 'row' AS a INTO TEMPORARY mine", "SELECT a FROM mine", "row", Temporary, "DISCARD TEMP" },
        { "CREATE TEMP VIEW mine AS SELECT 'row' AS a", "SELECT a FROM mine", "row", Temporary, "DROP VIEW mine" },
        { "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 5'", "SELECT pg_temp.mine()", "5", Temporary, "DROP FUNCTION pg_temp.mine()" },
        { "DO $$ BEGIN EXECUTE 'CREATE TE' || 'MP TABLE mine AS SELECT 1 AS a'; END $$", "SELECT a FROM mine", "1", Temporary, "DISCARD ALL" },
        { "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 3; COMMIT", "SELECT name FROM pg_cursors WHERE is_holdable", "c", Cursor, "CLOSE c" },
        { "DECLARE c CURSOR WITH HOLD FOR SELECT 3", "SELECT name FROM pg_cursors WHERE is_holdable", "c", Cursor, "CLOSE ALL" },
        { "SET work_mem TO '9MB'", "SHOW work_mem", "9MB", Setting, "RESET work_mem" },
        { "SET SESSION work_mem = '9MB'", "SHOW work_mem", "9MB", Setting, "SET work_mem TO DEFAULT" },
        { "SELECT set_config('work_mem', '9MB', false)", "SHOW work_mem", "9MB", Setting, "RESET ALL" },
        { "SET search_path TO pg_catalog, public", "SHOW search_path", "pg_catalog, public", Setting, "RESET search_path" },
        { $"SET ROLE {PostgresCluster.Borrowed}", "SELECT current_user", PostgresCluster.Borrowed, Setting, "RESET ROLE" },
        { "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "serializable", Setting, "RESET default_transaction_isolation" },
        { "SET app.tenant TO 'one'", "SELECT current_setting('app.tenant', true)", "one", Setting, "RESET app.tenant" },
        { "BEGIN; SET app.tenant = 'one'; COMMIT", "SELECT current_setting('app.tenant', true)", "one", Setting, "SET app.tenant = ''" },
        { "SELECT set_config('app.tenant', 'one', false)", "SELECT current_setting('app.tenant', true)", "one", Setting, "DISCARD ALL" },
        { "PREPARE p AS SELECT 4", "EXECUTE p", "4", Prepared, "DEALLOCATE ALL" },
    };

    [Theory, MemberData(nameof(Pins))]
    public Task StayWithTheirServerAndLetItGo(string pins, string asks, string sees, string reason, string ends) => WithServersAsync(2, "auto", async (pooler, database) =>
    {
        foreach (bool extended in (bool[])(pins.Contains("; ") && !pins.Contains("DO $$") ? [false] : [false, true]))
        {
            using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
            Assert.Empty(await pooler.ConsoleAsync("SHOW PINS"));
            await RunAsync(client, pins, extended);
            int server = await client.ServerAsync();
            for (int round = 0; round < 3; round++)
            {
                Assert.NotEqual(server, await other.ServerAsync());
                Assert.Equal(sees, (await client.QueryAsync(asks)).Scalar);
                Assert.Equal(server, await client.ServerAsync());
            }

            Dictionary<string, string?> row = Assert.Single(await pooler.ConsoleAsync("SHOW PINS"));
            Assert.Equal((reason, database, PostgresCluster.User), (row["reason"], row["database"], row["user"]));
            Assert.Equal(pins.StartsWith("DO ", StringComparison.Ordinal) ? "" : pins, row["statement"]);
            await RunAsync(client, ends, extended);
            await NobodyIsPinnedAsync(pooler, database);
        }
    });

    /// <summary>What only looks like it costs a question, and no server.</summary>
    [Theory]
    [InlineData("SET TimeZone TO 'Asia/Tokyo'")]
    [InlineData("SET LOCAL work_mem TO '9MB'")]
    [InlineData("BEGIN; SET LOCAL work_mem TO '9MB'; COMMIT")]
    [InlineData("BEGIN; SET work_mem TO '9MB'; ROLLBACK")]
    [InlineData("BEGIN; CREATE TEMP TABLE mine () ON COMMIT DROP; COMMIT")]
    [InlineData("BEGIN; LISTEN news; ROLLBACK")]
    [InlineData("SELECT set_config('app.tenant', 'one', true)")]
    [InlineData("SELECT pg_advisory_lock(7), pg_advisory_unlock(7)")]
    [InlineData("SELECT 'temp'")]
    [InlineData("DO $$ BEGIN END $$")]
    [InlineData("RESET ALL")]
    public Task AFalseSignPinsNobody(string sql) => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        for (int round = 0; round < 3; round++)
        {
            await RunAsync(client, sql, extended: false);
            Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
        }

        await NobodyIsPinnedAsync(pooler, database);
    });

    [Fact]
    public Task AStartupParameterPinsNobodyButItsChangeDoes() => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        await client.LoginAsync(database, PostgresCluster.User, ("work_mem", "2048"), ("TimeZone", "Asia/Tokyo"));
        using (PgWire other = await pooler.LoginAsync(database))
        {
            foreach (string sql in (string[])["SET LOCAL work_mem TO '9MB'", "SET work_mem TO '2MB'", "RESET work_mem"])
            {
                await RunAsync(client, sql, extended: false);
                Assert.Equal("4MB", (await other.QueryAsync("SHOW work_mem")).Scalar);
            }
        }

        await RunAsync(client, "SET work_mem TO '3MB'", extended: false);
        await ReasonIsAsync(pooler, Setting);
        await RunAsync(client, "RESET work_mem", extended: false);
        await NobodyIsPinnedAsync(pooler, database);
        Assert.Equal("2MB", (await client.QueryAsync("SHOW work_mem")).Scalar);
    });

    /// <summary>pg_settings does not list it: it is there all the time, which is no sign that the client has set it.</summary>
    [Fact]
    public Task AStartupParameterOfNoLibraryIsLetGo() => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint), other = await pooler.LoginAsync(database);
        await client.LoginAsync(database, PostgresCluster.User, ("App.Tenant", "one"));
        await RunAsync(client, "SET app.tenant TO 'two'", extended: false);
        await ReasonIsAsync(pooler, Setting);
        await RunAsync(client, "RESET App.tenant", extended: false);
        await NobodyIsPinnedAsync(pooler, database);
        Assert.Equal("", (await other.QueryAsync("SELECT coalesce(current_setting('app.tenant', true), '')")).Scalar);
        Assert.Equal("one", (await client.QueryAsync("SHOW app.tenant")).Scalar);
    });

    [Fact]
    public Task SeveralReasonsEndOneByOne() => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await RunAsync(client, "LISTEN news", extended: false);
        await RunAsync(client, "SELECT pg_advisory_lock(1)", extended: false);
        await ReasonIsAsync(pooler, $"{Listen}, {Lock}");
        await RunAsync(client, "UNLISTEN *", extended: false);
        await ReasonIsAsync(pooler, Lock);
        Assert.Equal("1", (await pooler.PoolCountsAsync(database)).ServersActive.ToString());
        await RunAsync(client, "SELECT pg_advisory_unlock(1)", extended: true);
        await NobodyIsPinnedAsync(pooler, database);
        Dictionary<string, string?> totals = (await pooler.ConsoleAsync("SHOW PINS_TOTALS")).ToDictionary(static r => r["reason"]!, static r => r["pins"]);
        Assert.Equal(("1", "1", "0"), (totals[Listen], totals[Lock], totals[Cursor]));
    });

    /// <summary>A notification reaches its listener although it sends nothing; who leaves frees the server, and leaves it clean.</summary>
    [Fact]
    public Task AListenerHearsAndLeaves() => WithServersAsync(2, "auto", async (pooler, database) =>
    {
        using PgWire other = await pooler.LoginAsync(database);
        using (PgWire client = await pooler.LoginAsync(database))
        {
            await RunAsync(client, "LISTEN news", extended: false);
            await RunAsync(client, "CREATE TEMP TABLE mine ()", extended: false);
            await other.QueryAsync("NOTIFY news, 'hello'");
            PgMessage heard = (await client.ReadAsync())!.Value;
            Assert.Equal('A', heard.Type);
        }

        await NobodyIsPinnedAsync(pooler, database);
        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("0", (await next.QueryAsync("SELECT count(*) FROM pg_listening_channels()")).Scalar);
        await Eventually.EqualsAsync("its server is cleaned", "0", async () => (await next.QueryAsync("SELECT count(*) FROM pg_class WHERE relpersistence = 't'")).Scalar);
    });

    /// <summary>Requests sent in one go are answered in their order, with our question between them.</summary>
    [Fact]
    public Task APipelineIsAnsweredInOrder() => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        var request = new PgRequest();
        for (int i = 0; i < 50; i++)
            request.Query(i % 5 == 0 ? "SET work_mem TO '9MB'" : i % 5 == 3 ? "RESET work_mem" : $"SELECT {i}, current_setting('work_mem')");
        await client.SendAsync(request);
        for (int i = 0; i < 50; i++)
        {
            PgReply reply = await client.ReadReplyAsync();
            Assert.Null(reply.Error);
            if (i % 5 is not (0 or 3))
                Assert.Equal(($"{i}", i % 5 == 4 ? "4MB" : "9MB"), (reply.Rows.Single()[0], reply.Rows.Single()[1]));
        }

        await NobodyIsPinnedAsync(pooler, database);
    });

    [Theory]
    [InlineData("LISTEN news", Listen)]
    [InlineData("/* a */ listen news", Listen)]
    [InlineData("SELECT 1; LISTEN news", Listen)]
    [InlineData("SELECT pg_advisory_lock(1)", Lock)]
    [InlineData("CREATE TEMP TABLE mine ()", Temporary)]
    [InlineData("CREATE OR REPLACE TEMPORARY VIEW mine AS SELECT 1", Temporary)]
    [InlineData("SELECT 1 INTO TEMP mine", Temporary)]
    [InlineData("CREATE TABLE pg_temp.mine ()", Temporary)]
    [InlineData("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Cursor)]
    [InlineData("SET work_mem TO '9MB'", Setting)]
    [InlineData("SET app.tenant TO 'one'", Setting)]
    [InlineData("SET SESSION AUTHORIZATION DEFAULT", Setting)]
    [InlineData("SELECT set_config('work_mem', '9MB', false)", Setting)]
    [InlineData("PREPARE p AS SELECT 1", Prepared)]
    public Task MayBeRefused(string sql, string reason) => WithServersAsync(1, "refuse", async (pooler, database) =>
    {
        await postgres.LogStatementsAsync(database);
        using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        string message = $"{reason} needs a server of its own (pin = refuse)";
        foreach (PgRequest request in (PgRequest[])
            [new PgRequest().Query(sql), new PgRequest().Parse("", sql).Bind("", "").Execute().Sync(), new PgRequest().Parse("named", sql).Sync()])
        {
            await client.SendAsync(request);
            PgReply reply = await client.ReadReplyAsync();
            Assert.Equal("EZ", reply.Types);
            Assert.Equal(("0A000", message, 'I'), (reply.Error!.Value.SqlState, reply.Error.Value.Fields()['M'], reply.TransactionStatus));
            Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
        }

        // It fails a transaction, as any error does.
        await client.QueryAsync("BEGIN");
        Assert.Equal("0A000", (await client.QueryAsync(sql)).Error!.Value.SqlState);
        Assert.Equal("25P02", (await client.QueryAsync("SELECT 1")).Error!.Value.SqlState);
        await client.QueryAsync("ROLLBACK");
        Assert.Equal("2", (await client.QueryAsync("SELECT 2")).Scalar);
        Assert.DoesNotContain(await postgres.LoggedStatementsAsync(database), s => s.Contains(sql));
        Assert.Equal("4", (await pooler.ConsoleAsync("SHOW PINS_TOTALS")).Single(r => r["reason"] == reason)["refused"]);
    });

    [Theory]
    [InlineData("SET TimeZone TO 'UTC'")]
    [InlineData("SET TIME ZONE 'UTC'")]
    [InlineData("SET LOCAL work_mem TO '9MB'")]
    [InlineData("SET work_mem TO DEFAULT")]
    [InlineData("BEGIN; SET TRANSACTION READ ONLY; COMMIT")]
    [InlineData("SELECT set_config('app.tenant', 'one', true)")]
    [InlineData("SELECT 'LISTEN news; SET work_mem TO 1' AS temp, 2 AS listen")]
    [InlineData("SELECT 1 AS temp -- ; LISTEN news")]
    [InlineData("SELECT $a$; LISTEN news$a$, E'\\'; LISTEN news'")]
    [InlineData("BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT")]
    [InlineData("SELECT pg_advisory_xact_lock(1)")]
    [InlineData("RESET ALL")]
    public Task WhatIsCarriedIsNotRefused(string sql) => WithServersAsync(1, "refuse", async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        await RunAsync(client, sql, extended: false);
        Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
    });

    /// <summary>PgBouncer's way: the server is shared on; but nobody sees what another left.</summary>
    [Theory]
    [InlineData("SET work_mem TO '9MB'", "SHOW work_mem", "4MB")]
    [InlineData("LISTEN news", "SELECT count(*) FROM pg_listening_channels()", "0")]
    [InlineData("CREATE TEMP TABLE mine ()", "SELECT count(*) FROM pg_class WHERE relpersistence = 't'", "0")]
    public Task MayBeOff(string sql, string asks, string sees) => WithServersAsync(1, "off", async (pooler, database) =>
    {
        using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        await RunAsync(client, sql, extended: false);
        Assert.Equal(sees, (await other.QueryAsync(asks)).Scalar);
        Assert.Equal(sees, (await client.QueryAsync(asks)).Scalar);
        Assert.Empty(await pooler.ConsoleAsync("SHOW PINS"));
    });

    /// <summary>Clients without pins pay nothing.</summary>
    [Fact]
    public Task WithoutASignNothingIsAsked() => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        await postgres.LogStatementsAsync(database);
        using PgWire client = await pooler.LoginAsync(database);
        string[] plain = ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "BEGIN", "UPDATE t SET a = 2", "COMMIT", "DROP TABLE t", "SELECT 1; SELECT 2"];
        foreach (string sql in plain)
            await RunAsync(client, sql, extended: false);
        Assert.Equal(plain, await postgres.LoggedStatementsAsync(database));
    });

    /// <summary>What ends with its transaction is no sign either.</summary>
    [Theory]
    [InlineData("BEGIN", "SET LOCAL work_mem TO '9MB'", "SELECT 1", "COMMIT")]
    [InlineData("BEGIN", "SAVEPOINT a", "/* mine */ set local ROLE " + PostgresCluster.Borrowed, "ROLLBACK TO a", "SET LOCAL app.tenant = 'one';", "COMMIT")]
    [InlineData("SET LOCAL work_mem TO '9MB'")]
    [InlineData("SELECT set_config('app.tenant', 'it''s', true), pg_catalog.set_config('work_mem', concat('9', 'MB'), TRUE)")]
    public Task WhatIsLocalIsNoSign(params string[] script) => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        await postgres.LogStatementsAsync(database);
        using PgWire client = await pooler.LoginAsync(database);
        for (int i = 0; i < 2; i++)
        {
            foreach (string sql in script)
                await RunAsync(client, sql, extended: false);
        }

        Assert.Equal([.. script, .. script], await postgres.LoggedStatementsAsync(database));
        using PgWire other = await pooler.LoginAsync(database);
        int server = await other.ServerAsync();
        foreach (string sql in script)
            await RunAsync(client, sql, extended: true);
        for (int i = 0; i < script.Length; i++)
            await client.SendAsync(new PgRequest().Parse($"s{i}", script[i]).Bind("", $"s{i}").Execute().Sync());
        for (int i = 0; i < script.Length; i++)
            Assert.Null((await client.ReadReplyAsync()).Error);
        Assert.DoesNotContain("DISCARD ALL", await postgres.LoggedStatementsAsync(database));
        Assert.Equal((server, "4MB"), (await other.ServerAsync(), (await other.QueryAsync("SHOW work_mem")).Scalar));
    });

    /// <summary>PREPARE that fails, and a name that the client itself has already, cost nobody a server.</summary>
    [Theory]
    [InlineData("P {prepare one as selec 1} B E S")]
    [InlineData("P run{selec execute} S")]
    [InlineData("P one{select 1} P run{prepare one as selec 1} S B one E P run{selec execute} B run E S")]
    [InlineData("P one{select 1} S P one{select 2} S")]
    [InlineData("P one{select 1} S Q {prepare one as select 2}")]
    public Task WhatFailsToBePreparedPinsNobody(string script) => WithServersAsync(1, "auto", async (pooler, database) =>
    {
        await postgres.LogStatementsAsync(database);
        using PgWire client = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        for (int i = 0; i < 2; i++)
        {
            await Script.RunAsync(client, script);
            Assert.Equal("1", (await other.QueryAsync("SELECT 1")).Scalar);
        }

        if (script.StartsWith("P one", StringComparison.Ordinal) && !script.Contains("run", StringComparison.Ordinal))
            Assert.DoesNotContain("DISCARD ALL", await postgres.LoggedStatementsAsync(database));
    });

    private static async Task RunAsync(PgWire client, string sql, bool extended)
    {
        await client.SendAsync(extended ? new PgRequest().Parse("", sql).Bind("", "").Execute().Sync() : new PgRequest().Query(sql));
        PgReply reply = await client.ReadReplyAsync();
        Assert.True(reply.Error is null, $"{sql}: {reply}");
    }

    private static async Task ReasonIsAsync(PoolerProcess pooler, string reason) =>
        await Eventually.EqualsAsync("why it is pinned", reason, async () => (await pooler.ConsoleAsync("SHOW PINS")).SingleOrDefault()?["reason"]);

    private static async Task NobodyIsPinnedAsync(PoolerProcess pooler, string database)
    {
        await Eventually.EqualsAsync("servers at work", 0, async () => (await pooler.PoolCountsAsync(database)).ServersActive);
        Assert.Empty(await pooler.ConsoleAsync("SHOW PINS"));
    }

    private async Task WithServersAsync(int servers, string rule, Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: servers, adjust: ini =>
        {
            ini.Settings["pin"] = rule;
            ini.Settings["ignore_startup_parameters"] = "";
        });
        await test(pooler, database);
        Assert.InRange(await postgres.CountServersAsync(database), 0, servers);
    }
}
