namespace Pooler.IntegrationTests;

/// <summary>Settings stay with their client, whatever becomes of its transactions and whoever has its server in between.</summary>
public sealed class SessionParameterTests(PostgresCluster postgres, PostgresVersions versions)
{
    /// <summary>A parameter, what two clients ask for, and what each must see.</summary>
    public static readonly TheoryData<string, string, string, string, string> Unreported = new()
    {
        { "work_mem", "1MB", "1MB", "2048", "2MB" },
        { "search_path", "pg_catalog", "pg_catalog", "\"$user\", pg_temp, \"it's \\\\\"", "\"$user\", pg_temp, \"it's \\\\\"" },
        { "search_path", "sch\u00e9ma, \u6f22", "sch\u00e9ma, \u6f22", "\"\U0001f418\"", "\"\U0001f418\"" },
        { "role", PostgresCluster.Borrowed, PostgresCluster.Borrowed, "none", "none" },
        { "statement_timeout", "12345", "12345ms", "1min", "1min" },
        { "Extra_Float_Digits", "0", "0", "3", "3" },
        { "app.tenant", "it's \\ one", "it's \\ one", "'; RESET ALL; --", "'; RESET ALL; --" },
        { "default_transaction_isolation", "serializable", "serializable", "repeatable read", "repeatable read" },
        { "default_transaction_read_only", "on", "on", "off", "off" },
    };

    [Theory, MemberData(nameof(Unreported))]
    public Task WhatServersDoNotReportFollowsToo(string name, string one, string seenByOne, string other, string seenByOther) => WithOneServerAsync(async (pooler, database) =>
    {
        string show = $"SELECT current_setting('{name}', true)";
        using PgWire plain = await pooler.LoginAsync(database);
        string? unasked = (await plain.QueryAsync(show)).Scalar;
        string escaped = one.Replace("\\", "\\\\").Replace(" ", "\\ ");
        using PgWire first = await LoginAsync(pooler, database, ("options", $"--{name.Replace('_', '-')}={escaped}")), second = await LoginAsync(pooler, database, (name, other));
        int server = await first.ServerAsync();
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(seenByOne, (await first.QueryAsync(show)).Scalar);
            Assert.Equal(seenByOther, (await second.QueryAsync(show)).Scalar);
            Assert.Equal(unasked ?? "", (await plain.QueryAsync(show)).Scalar ?? "");
            await second.SendAsync(new PgRequest().Parse("", show).Bind("", "").Execute().Sync());
            Assert.Equal(seenByOther, (await second.ReadReplyAsync()).Scalar);
        }

        Assert.Equal(server, await plain.ServerAsync());
    });

    [Fact]
    public Task TheLastValueCountsAndThePacketOutdoesOptions() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await LoginAsync(pooler, database, ("work_mem", "3MB"), ("options", "-c work_mem=1MB -c statement_timeout=1 -c statement_timeout=7s"));
        Assert.Equal("3MB", (await wire.QueryAsync("SHOW work_mem")).Scalar);
        Assert.Equal("7s", (await wire.QueryAsync("SHOW statement_timeout")).Scalar);
    });

    /// <summary>Who the client is decides what it sees: neither rights nor names of another reach it.</summary>
    [Fact]
    public Task AnIdentityStaysWithItsClient() => WithOneServerAsync(async (pooler, database) =>
    {
        await postgres.ExecuteAsync(database, $"""
            CREATE SCHEMA one; CREATE SCHEMA two; GRANT ALL ON SCHEMA one, two TO PUBLIC;
            CREATE TABLE one.t AS SELECT 1 AS number; CREATE TABLE two.t AS SELECT 'two'::text AS word; GRANT SELECT ON one.t, two.t TO PUBLIC
            """);
        using PgWire one = await LoginAsync(pooler, database, ("search_path", "one"), ("role", PostgresCluster.Borrowed)), two = await LoginAsync(pooler, database, ("search_path", "two"));
        foreach (PgWire wire in (PgWire[])[one, two])
        {
            await wire.SendAsync(new PgRequest().Parse("same", "SELECT *, current_user FROM t").Sync());
            Assert.Null((await wire.ReadReplyAsync()).Error);
        }

        for (int round = 0; round < 3; round++)
        {
            foreach ((PgWire wire, string value, string user) in ((PgWire, string, string)[])[(one, "1", PostgresCluster.Borrowed), (two, "two", PostgresCluster.User)])
            {
                await wire.SendAsync(new PgRequest().Bind("", "same").Execute().Sync());
                PgReply reply = await wire.ReadReplyAsync();
                Assert.True(reply.Error is null, $"{reply}");
                Assert.Equal((value, user), (reply.Rows.Single()[0], reply.Rows.Single()[1]));
            }
        }
    });

    /// <summary>Equal clients pay once; a startup parameter keeps no server.</summary>
    [Fact]
    public Task OnlyWhatDiffersIsSet() => WithOneServerAsync(async (pooler, database) =>
    {
        await postgres.LogStatementsAsync(database);
        using PgWire one = await LoginAsync(pooler, database, ("work_mem", "1MB"), ("statement_timeout", "5s")), same = await LoginAsync(pooler, database, ("work_mem", "1MB"), ("statement_timeout", "5s"));
        using PgWire other = await LoginAsync(pooler, database, ("work_mem", "2MB"));
        foreach (PgWire wire in (PgWire[])[one, same, one, other, other])
            Assert.Null((await wire.QueryAsync("SELECT 1")).Error);
        using PgWire plain = await pooler.LoginAsync(database);
        await plain.QueryAsync("SELECT 2");
        Assert.Equal(
            [
                "SELECT pg_catalog.set_config(E'statement_timeout',E'5s',false);SELECT pg_catalog.set_config(E'work_mem',E'1MB',false);", "SELECT 1", "SELECT 1", "SELECT 1",
                "RESET \"statement_timeout\";", "SELECT pg_catalog.set_config(E'work_mem',E'2MB',false);", "SELECT 1", "SELECT 1",
                "RESET \"work_mem\";", "SELECT 2",
            ],
            (await postgres.LoggedStatementsAsync(database)).Where(static s => s.Trim().Length > 0));
    });

    [Theory]
    [InlineData("no_such_parameter", "1", "42704")]
    [InlineData("work_mem", "much", "22023")]
    [InlineData("role", "postgres", "42501")]
    [InlineData("role", "nobody", "22023")]
    [InlineData("session_authorization", "postgres", "42501")]
    [InlineData("shared_buffers", "1GB", "55P02")]
    [InlineData("log_connections", "on", "55P02")]
    public Task ARefusedParameterEndsItsClientAndNothingElse(string name, string value, string sqlState) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire witness = await LoginAsync(pooler, database, ("work_mem", "1MB"));
        await witness.QueryAsync("CREATE TABLE t ()");
        int server = await witness.ServerAsync();
        using (PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database), (name, value)));
            await wire.SendAsync(new PgRequest().Query("INSERT INTO t DEFAULT VALUES"));
            PgMessage error = await wire.ReadFatalAsync();
            Assert.True(sqlState == error.SqlState, $"{error}");
        }

        Assert.Equal(server, await witness.ServerAsync());
        Assert.Equal("1MB", (await witness.QueryAsync("SHOW work_mem")).Scalar);
        Assert.Equal("0", (await witness.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    /// <summary>
    /// Steps of one client that started with TimeZone Asia/Tokyo, DateStyle German and work_mem 1MB; another has the server between
    /// any two of them where no transaction is open. All three are seen as on a connection of its own.
    /// </summary>
    public static readonly TheoryData<string[]> Programs = new()
    {
        new[] { "BEGIN", "SET TimeZone TO 'UTC'", "ROLLBACK" },
        new[] { "BEGIN", "SET TimeZone TO 'UTC'", "COMMIT", "SET TimeZone TO DEFAULT" },
        new[] { "BEGIN", "SET LOCAL TimeZone TO 'UTC'; SET LOCAL work_mem TO '3MB'", "COMMIT" },
        new[] { "BEGIN", "SET LOCAL TimeZone TO 'UTC'", "SELECT 1/0", "SELECT 1", "COMMIT" },
        new[] { "BEGIN", "SAVEPOINT a", "SET TimeZone TO 'UTC'", "SAVEPOINT b", "SET DateStyle TO 'ISO, DMY'", "ROLLBACK TO b", "COMMIT" },
        new[] { "BEGIN", "SAVEPOINT a", "SET DateStyle TO iso", "SELECT 1/0", "ROLLBACK TO a", "SET TimeZone TO 'UTC'", "RELEASE a", "COMMIT" },
        new[] { "SET DateStyle TO 'sql'", "SET DateStyle TO 'dmy'", "SET DateStyle TO 'ymd'", "RESET DateStyle" },
        new[] { "SET TimeZone TO 'UTC'", "RESET TimeZone" },
        new[] { "SET TimeZone TO 'UTC'", "RESET ALL" },
        new[] { "SET TimeZone TO 'UTC'", "DISCARD ALL" },
        new[] { "SET TimeZone TO 'UTC'", "set TIME zone default" },
        new[] { "RESET TimeZone", "RESET work_mem", "SET TimeZone TO 'Europe/Paris'" },
        new[] { "BEGIN", "RESET TimeZone", "SET DateStyle TO 'iso'", "ROLLBACK" },
        new[] { "BEGIN", "SET TimeZone TO 'UTC'", "RESET TimeZone", "RESET work_mem", "COMMIT" },
        new[] { "BEGIN", "SAVEPOINT a", "RESET ALL", "SELECT 1/0", "ROLLBACK TO a", "RESET DateStyle", "COMMIT" },
        new[] { "BEGIN", "SET LOCAL work_mem TO '3MB'", "RESET work_mem", "SET LOCAL work_mem TO '5MB'", "COMMIT" },
        new[] { "SET TimeZone TO 'nowhere'", "SELECT 1/0", "RESET nothing" },
        new[] { "SELECT set_config('TimeZone', 'UTC', false)", "SELECT set_config('DateStyle', 'iso', true)" },
        new[] { "SET TimeZone TO 'UTC'; SELECT 1/0", "SET TimeZone TO 'UTC'; RESET TimeZone" },
    };

    [Theory, MemberData(nameof(Programs))]
    public Task SeesWhatItWouldAlone(string[] steps) => WithOneServerAsync(async (pooler, database) =>
    {
        const string Look = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('work_mem'), '2001-02-03'::date, current_setting('IntervalStyle')";
        (string, string)[] asked = [("TimeZone", "Asia/Tokyo"), ("DateStyle", "German"), ("options", "-c work_mem=1MB")];
        using PgWire wire = await LoginAsync(pooler, database, asked), own = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        using PgWire other = await LoginAsync(pooler, database, ("TimeZone", "America/New_York"), ("work_mem", "7MB"), ("IntervalStyle", "iso_8601"));
        await own.LoginAsync(database, PostgresCluster.User, asked);
        foreach (string step in (string[])["SELECT 1", .. steps])
        {
            PgReply wanted = await own.QueryAsync(step), got = await wire.QueryAsync(step);
            Assert.Equal((wanted.Error?.SqlState, wanted.TransactionStatus), (got.Error?.SqlState, got.TransactionStatus));
            if (got.TransactionStatus == 'E')
                continue;
            string seen = string.Join('|', (await own.QueryAsync(Look)).Rows.Single());
            Assert.Equal(seen, string.Join('|', (await wire.QueryAsync(Look)).Rows.Single()));
            if (got.TransactionStatus == 'I')
                Assert.Equal("America/New_York|ISO, MDY|7MB|2001-02-03|iso_8601", string.Join('|', (await other.QueryAsync(Look)).Rows.Single()));
        }
    });

    /// <summary>What goes back to the startup packet is told as PostgreSQL tells it, if a moment later.</summary>
    [Fact]
    public Task AResetIsTold() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await LoginAsync(pooler, database, ("TimeZone", "Asia/Tokyo"));
        await wire.QueryAsync("SET TimeZone TO 'UTC'");
        List<PgMessage> told = [.. (await wire.QueryAsync("RESET TimeZone")).Messages, .. (await wire.QueryAsync("SELECT 1")).Messages];
        Assert.Equal("TimeZone\0Asia/Tokyo", told.Last(static m => m.Type == 'S').Text());
    });

    /// <summary>A client that leaves while its parameters are being set leaves them to nobody.</summary>
    [Fact]
    public Task AClientThatLeavesEarlyLeavesNothing() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire plain = await pooler.LoginAsync(database);
        string unasked = (await plain.QueryAsync("SHOW work_mem")).Scalar!;
        for (int round = 0; round < 20; round++)
        {
            using (PgWire wire = await LoginAsync(pooler, database, ("work_mem", "1MB")))
                await wire.SendAsync(round % 2 == 0 ? new PgRequest().Query("SELECT 1") : new PgRequest().Query("DISCARD ALL").Query("SET work_mem TO '9MB'").Query("SELECT 1"));
            Assert.Equal(unasked, (await plain.QueryAsync("SHOW work_mem")).Scalar);
        }
    });

    /// <summary>PostgreSQL 18 reports search_path: a change of it follows like any other.</summary>
    [Fact]
    public async Task AReportedSearchPathFollows()
    {
        PostgresCluster newer = await versions.GetAsync(18);
        string database = await newer.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(newer, database, poolSize: 1, adjust: static ini => ini.Settings["ignore_startup_parameters"] = "");
        using PgWire one = await LoginAsync(pooler, database, ("search_path", "\"a b\", public")), plain = await pooler.LoginAsync(database);
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal("\"a b\", public", (await one.QueryAsync("SHOW search_path")).Scalar);
            Assert.Equal("\"$user\", public", (await plain.QueryAsync("SHOW search_path")).Scalar);
        }

        await plain.QueryAsync("SET search_path TO one, \"two 2\"");
        Assert.Equal("\"a b\", public", (await one.QueryAsync("SHOW search_path")).Scalar);
        Assert.Equal("one, \"two 2\"", (await plain.QueryAsync("SHOW search_path")).Scalar);
    }

    private static async Task<PgWire> LoginAsync(PoolerProcess pooler, string database, params (string, string)[] parameters)
    {
        PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync(database, PostgresCluster.User, parameters);
        return wire;
    }

    private async Task WithOneServerAsync(Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["ignore_startup_parameters"] = "");
        await test(pooler, database);
        Assert.InRange(await postgres.CountServersAsync(database), 0, 2);
    }
}
