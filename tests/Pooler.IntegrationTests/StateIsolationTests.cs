using System.Buffers;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>What one client leaves in a session of PostgreSQL never reaches the next: with one server there is nowhere to hide.</summary>
public sealed class StateIsolationTests(PostgresCluster postgres)
{
    private const string WorkMem = "SHOW work_mem", WorkMemDefault = "4MB";
    private const string SearchPath = "SHOW search_path", SearchPathDefault = "\"$user\", public";
    private const string TempTables = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
    private const string AdvisoryLocks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    private const string Prepared = "SELECT count(*) FROM pg_prepared_statements";
    private const string Cursors = "SELECT count(*) FROM pg_cursors WHERE is_holdable";
    private const string Channels = "SELECT count(*) FROM pg_listening_channels()";

    /// <summary>What the first client does, what the second asks, and what it must see.</summary>
    public static readonly TheoryData<string, string, string> Leftovers = new()
    {
        { "SET work_mem TO '1MB'", WorkMem, WorkMemDefault },
        { "set SESSION Work_Mem = '1MB'", WorkMem, WorkMemDefault },
        { "/* first */ SET /* and */ work_mem -- then\n TO '1MB'", WorkMem, WorkMemDefault },
        { "SELECT 1; SET work_mem TO '1MB'; SELECT 2", WorkMem, WorkMemDefault },
        { "BEGIN; SET work_mem TO '1MB'; COMMIT", WorkMem, WorkMemDefault },
        { "SET search_path TO pg_catalog", SearchPath, SearchPathDefault },
        { $"SET ROLE {PostgresCluster.Borrowed}", "SELECT current_user", PostgresCluster.User },
        { "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW default_transaction_read_only", "off" },
        { "SET statement_timeout TO 12345", "SHOW statement_timeout", "0" },
        { "SELECT set_config('work_mem', '1MB', false)", WorkMem, WorkMemDefault },
        { "SELECT Pg_Catalog.SET_Config('search_path', 'pg_catalog', false)", SearchPath, SearchPathDefault },
        { "SELECT \"set_config\"('work_mem', '1MB', false)", WorkMem, WorkMemDefault },
        { "SELECT set_config/* a comment */('work_mem', '1MB', false)", WorkMem, WorkMemDefault },
        { "SELECT/**/set_config('work_mem', '1MB', false)", WorkMem, WorkMemDefault },
        { "WITH c AS MATERIALIZED (SELECT set_config('work_mem', '1MB', false)) SELECT * FROM c", WorkMem, WorkMemDefault },
        { "DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$", WorkMem, WorkMemDefault },
        { "DO $$ BEGIN EXECUTE 'SE' || 'T work_mem TO ''1MB'''; END $$", WorkMem, WorkMemDefault },
        { "BEGIN; SET LOCAL work_mem TO '2MB'; SET work_mem TO '1MB'; COMMIT", WorkMem, WorkMemDefault },
        { "BEGIN; SET work_mem TO '1MB'; SET LOCAL work_mem TO '2MB'; COMMIT", WorkMem, WorkMemDefault },
        { "\fSET work_mem TO '1MB'", WorkMem, WorkMemDefault },
        { "SELECT set_config('work_mem', '1MB', not true)", WorkMem, WorkMemDefault },
        { "SELECT set_config('work_mem', '1MB', false /* , true */)", WorkMem, WorkMemDefault },
        { "SELECT set_config('work_mem', '2MB', true), set_config('work_mem', '1MB', false)", WorkMem, WorkMemDefault },
        { "SELECT set_config(set_config('application_name', 'work_mem', true), '1MB', false)", WorkMem, WorkMemDefault },
        { "CREATE TEMP TABLE left_behind ()", TempTables, "0" },
        { "create tEmPoRaRy table left_behind ()", TempTables, "0" },
        { "CREATE TABLE pg_temp.left_behind ()", TempTables, "0" },
        { "CREATE TABLE PG_TEMP . left_behind ()", TempTables, "0" },
        { "CREATE LOCAL TEMP TABLE left_behind ()", TempTables, "0" },
        { "SELECT 1 AS one INTO TEMP left_behind", TempTables, "0" },
        { "CREATE TEMP VIEW left_behind AS SELECT 1", TempTables, "0" },
        { "CREATE TEMP SEQUENCE left_behind", TempTables, "0" },
        { "EXPLAIN ANALYZE CREATE TEMP TABLE left_behind AS SELECT 1", TempTables, "0" },
        { "SELECT pg_advisory_lock(1)", AdvisoryLocks, "0" },
        { "SELECT PG_TRY_ADVISORY_LOCK_SHARED(1)", AdvisoryLocks, "0" },
        { "SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 3) AS i", AdvisoryLocks, "0" },
        { "LISTEN news", Channels, "0" },
        { "BEGIN; LISTEN news; COMMIT", Channels, "0" },
        { "DECLARE one CURSOR WITH HOLD FOR SELECT 1", Cursors, "0" },
        { "BEGIN; DECLARE one CURSOR WITH HOLD FOR SELECT 1; COMMIT", Cursors, "0" },
    };

    [Theory, MemberData(nameof(Leftovers))]
    public Task NothingReachesTheNextClient(string leaves, string asks, string sees) => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);

        // In the simple protocol.
        PgReply done = await first.QueryAsync(leaves);
        Assert.True(done.Error is null, $"{done}");
        Assert.Equal(sees, (await second.QueryAsync(asks)).Scalar);

        // In a transaction of several messages.
        foreach (string sql in (string[])["BEGIN", .. leaves.Split(';', leaves.Contains("DO $$") ? 1 : 9).Where(static part => part.Trim() is not ("BEGIN" or "COMMIT"))])
            Assert.Null((await first.QueryAsync(sql)).Error);
        await first.QueryAsync("COMMIT");
        Assert.Equal(sees, (await second.QueryAsync(asks)).Scalar);

        // In the extended protocol, by a client that is gone afterwards.
        if (!leaves.Contains("; ") || leaves.Contains("DO $$"))
        {
            using (PgWire third = await pooler.LoginAsync(database))
            {
                await third.SendAsync(new PgRequest().Parse("", leaves).Bind("", "").Execute().Sync());
                done = await third.ReadReplyAsync();
                Assert.True(done.Error is null, $"{done}");
            }

            Assert.Equal(sees, (await second.QueryAsync(asks)).Scalar);
        }
    });

    /// <summary>The statement without a name stays on the server, DISCARD ALL or not: whoever has not parsed it finds none there.</summary>
    [Theory]
    [InlineData("transaction", "200")]
    [InlineData("transaction", "0")]
    [InlineData("session", "200")]
    public async Task TheUnnamedStatementIsNotTheNextClients(string mode, string prepared)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["pool_mode"] = mode;
            ini.Settings["max_prepared_statements"] = prepared;
        });
        using PgWire other = await pooler.LoginAsync(database);
        using (PgWire first = await pooler.LoginAsync(database))
        {
            await first.SendAsync(new PgRequest().Parse("", "SELECT 'the first one''s'").Sync().Bind("", "").Execute().Sync());
            Assert.Null((await first.ReadReplyAsync()).Error);
            Assert.Equal("the first one's", (await first.ReadReplyAsync()).Scalar);
            await first.SendAsync(new PgRequest().Bind("", "").Execute().Sync());
            Assert.Equal("the first one's", (await first.ReadReplyAsync()).Scalar);
        }

        await other.SendAsync(new PgRequest().Bind("", "").Execute().Sync().Describe('S', "").Sync().Parse("", "SELECT 'own'").Bind("", "").Execute().Sync());
        for (int i = 0; i < 2; i++)
        {
            PgMessage error = (await other.ReadReplyAsync()).Error!.Value;
            Assert.Equal(("26000", "unnamed prepared statement does not exist"), (error.SqlState, error.Fields()['M']));
        }

        Assert.Equal("own", (await other.ReadReplyAsync()).Scalar);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task NothingOfALongStatementReachesTheNextClient(bool extended) => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        foreach (int length in (int[])[1000, 16_000, 16_384, 40_000, 200_000])
        {
            string sql = $"SELECT length('{new string('x', length)}'), set_config('work_mem', '1MB', false)";
            await first.SendAsync(extended ? new PgRequest().Parse("", sql).Bind("", "").Execute().Sync() : new PgRequest().Query(sql));
            Assert.Equal($"{length}", (await first.ReadReplyAsync()).Rows.Single()[0]);
            Assert.Equal(WorkMemDefault, (await second.QueryAsync(WorkMem)).Scalar);
        }
    });

    /// <summary>Where a string with a backslash ends is a matter of settings: what looks like set_config(…, true) may not be.</summary>
    [Fact]
    public Task ABackslashHidesNothing() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        Assert.Null((await first.QueryAsync("SET standard_conforming_strings TO off")).Error);
        Assert.Null((await first.QueryAsync(@"SELECT set_config('search_path', 'pg_catalog\', true)', false)")).Error);
        Assert.Equal(SearchPathDefault, (await second.QueryAsync(SearchPath)).Scalar);
    });

    /// <summary>Neither the statement that was prepared in an earlier transaction nor one that EXECUTE runs is seen when it runs.</summary>
    [Fact]
    public Task ASetThatWasPreparedEarlierIsNoLocalOne() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await Script.RunAsync(first, "P set{SET work_mem TO '1MB'} P {SET work_mem TO '1MB'} S");
        foreach (string script in (string[])["B E S", "B set E S", "Q {execute set}", "P {execute set} B E S", "Q {begin} B/p set S E/p S Q {commit}"])
        {
            string[] replies = await Script.RunAsync(first, script);
            Assert.True(script == "B E S" || replies.All(static r => !r.Contains("E(", StringComparison.Ordinal)), string.Join(' ', replies));
            Assert.Equal(WorkMemDefault, (await second.QueryAsync(WorkMem)).Scalar);
        }
    });

    [Fact]
    public Task ValuesOfAStatementHideNothing() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Parse("", "SELECT set_config($1, $2, $3::bool)").Bind("", "", "work_mem", "1MB", "f").Execute().Sync());
        Assert.Equal("1MB", (await first.ReadReplyAsync()).Scalar);
        Assert.Equal(WorkMemDefault, (await second.QueryAsync(WorkMem)).Scalar);
    });

    [Fact]
    public Task AFunctionCalledByNumberIsKnownToo() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        int function = int.Parse((await OneAsync(pooler, database, "SELECT 'set_config'::regproc::int"))!);
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.SendAsync(new PgRequest().Message('F', body =>
        {
            PgRequest.WriteInt32(body, function);
            PgRequest.WriteInt16(body, 0);
            PgRequest.WriteInt16(body, 3);
            foreach (string value in (string[])["work_mem", "1MB", "f"])
            {
                PgRequest.WriteInt32(body, value.Length);
                body.Write(Encoding.ASCII.GetBytes(value));
            }

            PgRequest.WriteInt16(body, 0);
        }));
        Assert.Equal("VZ", (await first.ReadReplyAsync()).Types);
        Assert.Equal(WorkMemDefault, (await second.QueryAsync(WorkMem)).Scalar);
    });

    [Fact]
    public Task ANamedStatementOfTheProtocolStaysWithItsClient() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using (PgWire first = await pooler.LoginAsync(database))
        {
            await first.SendAsync(new PgRequest().Parse("mine", "SELECT 'mine'").Sync());
            await first.ReadReplyAsync();
            await first.SendAsync(new PgRequest().Bind("", "mine").Execute().Sync());
            Assert.Equal("mine", (await first.ReadReplyAsync()).Scalar);
        }

        using PgWire second = await pooler.LoginAsync(database);
        await second.SendAsync(new PgRequest().Bind("", "mine").Execute().Sync());
        PgMessage answer = (await second.ReadAsync())!.Value;
        Assert.Equal('E', answer.Type);
        using PgWire third = await pooler.LoginAsync(database);
        Assert.Equal("0", (await third.QueryAsync(Prepared)).Scalar);
    });

    /// <summary>A client that leaves in the middle is no gap either.</summary>
    [Theory]
    [InlineData("SET work_mem TO '1MB'", WorkMem, WorkMemDefault)]
    [InlineData("SELECT set_config('work_mem', '1MB', false)", WorkMem, WorkMemDefault)]
    [InlineData("SELECT pg_advisory_lock(1)", AdvisoryLocks, "0")]
    [InlineData("CREATE TEMP TABLE left_behind ()", TempTables, "0")]
    [InlineData("LISTEN news", Channels, "0")]
    [InlineData("PREPARE one AS SELECT 1", Prepared, "0")]
    public Task NothingIsLeftByAClientThatLeaves(string leaves, string asks, string sees) => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        PgRequest[] requests =
        [
            new PgRequest().Query(leaves).Query("SELECT pg_sleep(30) /* holds */"),
            new PgRequest().Query($"BEGIN; {leaves}").Query("SELECT pg_sleep(30) /* holds */"),
            new PgRequest().Parse("", leaves).Bind("", "").Execute().Sync().Query("SELECT pg_sleep(30) /* holds */"),
        ];
        foreach (PgRequest request in requests)
        {
            using (PgWire leaving = await pooler.LoginAsync(database))
            {
                await leaving.SendAsync(request);
                await postgres.RunsAsync(database, "holds");
            }

            Assert.Equal(sees, await OneAsync(pooler, database, asks));
        }
    });

    [Fact]
    public Task AnotherSessionAuthorizationEndsWithItsClient() => WithOneServerAsync("transaction", async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database, PostgresCluster.Superuser), second = await pooler.LoginAsync(database, PostgresCluster.Superuser);
        Assert.Null((await first.QueryAsync($"SET SESSION AUTHORIZATION {PostgresCluster.User}")).Error);
        Assert.Equal(PostgresCluster.Superuser, (await second.QueryAsync("SELECT session_user")).Scalar);
        Assert.Equal(PostgresCluster.Superuser, (await second.QueryAsync("SELECT current_user")).Scalar);
    });

    [Fact]
    public async Task ALoadedLibraryCostsAReset()
    {
        Assert.Contains("DISCARD ALL", await StatementsOfAsync("transaction", static async wire =>
        {
            Assert.Null((await wire.QueryAsync("LOAD 'auto_explain'")).Error);
            await wire.QueryAsync("SELECT 1");
        }, user: PostgresCluster.Superuser));
    }

    /// <summary>Everyday work is not reset: not by one statement more than the client sent.</summary>
    [Fact]
    public async Task PlainReadsAndWritesCostNothing()
    {
        string[] plain =
        [
            "CREATE TABLE temperature (id int PRIMARY KEY, reset text, attempt int, template text)",
            "CREATE TABLE settings (name text, listen bool)",
            "INSERT INTO temperature VALUES (1, 'no', 2, 'set') RETURNING id",
            "INSERT INTO settings (name, listen) SELECT 'reset', true",
            "UPDATE temperature SET reset = 'yes', attempt = attempt + 1 WHERE id = 1",
            "update settings set name = 'Set'",
            "INSERT INTO temperature VALUES (1, 'a', 1, 'b') ON CONFLICT (id) DO UPDATE SET reset = 'c'",
            "SELECT * FROM temperature JOIN settings ON true WHERE reset = 'c' FOR UPDATE",
            "SELECT attempt AS temp_c, 1 AS tempo, 2 AS contemporary FROM temperature",
            "BEGIN", "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", "SELECT pg_advisory_xact_lock(1)", "LOCK TABLE settings", "COMMIT",
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "ROLLBACK",
            "SELECT count(*) FROM pg_settings", "SHOW work_mem", "EXPLAIN SELECT 1", "ANALYZE settings", "NOTIFY news",
            "MERGE INTO settings USING temperature ON false WHEN NOT MATCHED THEN INSERT VALUES ('x', false)",
            "DELETE FROM temperature", "TRUNCATE settings", "",
        ];
        List<string> statements = await StatementsOfAsync("transaction", async wire =>
        {
            foreach (string sql in plain)
                await wire.QueryAsync(sql);
        });
        Assert.Equal(plain, statements);

        string[] extended = [.. plain.Where(static sql => sql.StartsWith("SELECT", StringComparison.Ordinal) && !sql.Contains("temp") && !sql.Contains("1/0"))];
        statements = await StatementsOfAsync("transaction", async wire =>
        {
            foreach (string sql in extended)
            {
                await wire.SendAsync(new PgRequest().Parse("", sql).Bind("", "").Describe('P', "").Execute().Sync());
                await wire.ReadReplyAsync();
            }
        });
        Assert.Equal(extended, statements);
    }

    [Fact]
    public async Task AResetComesBeforeTheNextClientAndOnlyOnce()
    {
        List<string> statements = await StatementsOfAsync("transaction", static async wire =>
        {
            await wire.QueryAsync("SET work_mem TO '1MB'");
            await wire.QueryAsync("SELECT 1");
            await wire.QueryAsync("SELECT 2");
        });
        Assert.Equal(["SET work_mem TO '1MB'", "DISCARD ALL", "SELECT 1", "SELECT 2"], statements);
    }

    [Theory]
    [InlineData("session", null, false, new[] { "SELECT 1", "SELECT 2", "DISCARD ALL" })]
    [InlineData("session", "DISCARD PLANS", false, new[] { "SELECT 1", "SELECT 2", "DISCARD PLANS" })]
    [InlineData("session", "", false, new[] { "SELECT 1", "SELECT 2" })]
    [InlineData("transaction", "DISCARD PLANS", false, new[] { "SELECT 1", "SELECT 2" })]
    [InlineData("transaction", "DISCARD PLANS", true, new[] { "SELECT 1", "DISCARD PLANS", "SELECT 2", "DISCARD PLANS" })]
    public async Task TheResetQueryKeepsItsMeaning(string mode, string? query, bool always, string[] expected)
    {
        List<string> statements = await StatementsOfAsync(mode, static async wire =>
        {
            await wire.QueryAsync("SELECT 1");
            await wire.QueryAsync("SELECT 2");
        }, adjust: ini =>
        {
            if (query is not null)
                ini.Settings["server_reset_query"] = query;
            ini.Settings["server_reset_query_always"] = always ? "1" : "0";
        });
        Assert.Equal(expected, statements);
    }

    /// <summary>A reset query that is none does not let state through.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("DISCARD PLANS")]
    public Task ASessionWithAWeakResetQueryLeavesNothing(string query) => WithOneServerAsync("session", async (pooler, database) =>
    {
        using (PgWire first = await pooler.LoginAsync(database))
        {
            await first.QueryAsync("SET work_mem TO '1MB'");
            await first.QueryAsync("CREATE TEMP TABLE left_behind ()");
            Assert.Equal("1MB", (await first.QueryAsync(WorkMem)).Scalar);
        }

        Assert.Equal(WorkMemDefault, await OneAsync(pooler, database, WorkMem));
        Assert.Equal("0", await OneAsync(pooler, database, TempTables));
    }, ini => ini.Settings["server_reset_query"] = query);

    [Fact]
    public Task ASessionKeepsItsState() => WithOneServerAsync("session", async (pooler, database) =>
    {
        using PgWire wire = await pooler.LoginAsync(database);
        await wire.QueryAsync("SET work_mem TO '1MB'");
        await wire.QueryAsync("CREATE TEMP TABLE mine ()");
        await wire.QueryAsync("PREPARE one AS SELECT 'prepared'");
        Assert.Equal("1MB", (await wire.QueryAsync(WorkMem)).Scalar);
        Assert.Equal("0", (await wire.QueryAsync("SELECT count(*) FROM mine")).Scalar);
        Assert.Equal("prepared", (await wire.QueryAsync("EXECUTE one")).Scalar);
    });

    private static async Task<string?> OneAsync(PoolerProcess pooler, string database, string sql)
    {
        using PgWire wire = await pooler.LoginAsync(database);
        return (await wire.QueryAsync(sql)).Scalar;
    }

    /// <summary>Everything one server was told while a client did its work and left.</summary>
    private async Task<List<string>> StatementsOfAsync(string mode, Func<PgWire, Task> work, string user = PostgresCluster.User, Action<PoolerIni>? adjust = null)
    {
        List<string> statements = [];
        await WithOneServerAsync(mode, async (pooler, database) =>
        {
            await postgres.LogStatementsAsync(database);
            using (PgWire wire = await pooler.LoginAsync(database, user))
                await work(wire);
            await Eventually.EqualsAsync("the server is free", 1, async () => (await pooler.PoolCountsAsync(database)).ServersFree);
            statements = await postgres.LoggedStatementsAsync(database);
        }, adjust);
        return statements;
    }

    private async Task WithOneServerAsync(string mode, Func<PoolerProcess, string, Task> test, Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: 1, ini =>
        {
            ini.Passwords[PostgresCluster.Superuser] = "";
            ini.Settings["pin"] = "off"; // The others would wait for what PinTests looks at.
            adjust?.Invoke(ini);
        });
        await test(pooler, database);
        Assert.InRange(await postgres.CountServersAsync(database), 0, 2);
    }
}
