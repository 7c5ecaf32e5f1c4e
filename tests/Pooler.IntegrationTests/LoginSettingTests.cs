using System.Net;

namespace Pooler.IntegrationTests;

/// <summary>Settings of [pgbouncer] that say what a login sees and leaves: names, notices, startup parameters, the socket's group.</summary>
public sealed class LoginSettingTests(PostgresCluster postgres)
{
    private const string Name = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";

    [Fact]
    public async Task TheClientsAddressIsInItsApplicationName()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["application_name_add_host"] = "1");
        using PgWire named = await PgWire.ConnectAsync(pooler.EndPoint), unnamed = await PgWire.ConnectAsync(pooler.EndPoint), local = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        await named.LoginAsync(database, PostgresCluster.User, ("application_name", "report"));
        await unnamed.LoginAsync(database, PostgresCluster.User);
        await local.LoginAsync(database, PostgresCluster.User, ("application_name", "cron"));
        Assert.Equal($"report - {named.LocalEndPoint}", (await named.QueryAsync(Name)).Scalar);
        Assert.Equal($"app - {unnamed.LocalEndPoint}", (await unnamed.QueryAsync(Name)).Scalar);
        Assert.Equal($"cron - unix({Environment.ProcessId}@{Environment.MachineName}):{pooler.Port}", (await local.QueryAsync(Name)).Scalar);

        // It is the client's own value: RESET comes back to it, and SET beats it.
        await named.QueryAsync("SET application_name = 'own'");
        Assert.Equal("own", (await named.QueryAsync(Name)).Scalar);
        await named.QueryAsync("RESET application_name");
        Assert.Equal($"report - {named.LocalEndPoint}", (await named.QueryAsync(Name)).Scalar);
    }

    [Fact]
    public async Task ANoticeIsSentAtEachLogin()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
            ini.Settings["login_notify_message"] = "This database moves on Sunday.");
        using PgWire first = await PgWire.ConnectAsync(pooler.EndPoint), second = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply greeting = await first.StartAsync(("user", PostgresCluster.User), ("database", database));
        Dictionary<char, string> notice = greeting.Messages.Single(static m => m.Type == 'N').Fields();
        Assert.Equal(("NOTICE", "00000", "This database moves on Sunday."), (notice['S'], notice['C'], notice['M']));
        Assert.Equal('Z', greeting.Messages[^1].Type);
        await pooler.CommandAsync("SET login_notify_message = ''");
        Assert.DoesNotContain('N', (await second.StartAsync(("user", PostgresCluster.User), ("database", database))).Types);
    }

    /// <summary>PgBouncer's way with startup parameters, and the names that track_extra_parameters adds to those it takes.</summary>
    [Fact]
    public async Task TrackedParametersAreTakenWhereOthersAreRefused()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["startup_parameters"] = "refuse";
            ini.Settings["ignore_startup_parameters"] = "extra_float_digits";
            ini.Settings["track_extra_parameters"] = "IntervalStyle, search_path";
        });
        using PgWire tracked = await pooler.LoginAsync(database), option = await PgWire.ConnectAsync(pooler.EndPoint), refused = await PgWire.ConnectAsync(pooler.EndPoint);
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        await client.LoginAsync(database, PostgresCluster.User, ("search_path", "here"));
        Assert.Equal("here", (await client.QueryAsync("SHOW search_path")).Scalar);
        await option.LoginAsync(database, PostgresCluster.User, ("options", "-c search_path=there"));
        Assert.Equal("there", (await option.QueryAsync("SHOW search_path")).Scalar);
        await refused.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database), ("statement_timeout", "1s")));
        await refused.AssertFatalAsync("unsupported startup parameter: statement_timeout");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AServerToBeReplacedIsTakenFromItsSession(bool isFast)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolMode: "session", adjust: ini =>
            ini.Settings["server_fast_close"] = isFast ? "1" : "0");
        using PgWire idle = await pooler.LoginAsync(database), busy = await pooler.LoginAsync(database);
        int server = await idle.ServerAsync();
        await busy.QueryAsync("BEGIN");
        await pooler.CommandAsync("RECONNECT");
        if (!isFast)
        {
            await Eventually.EqualsAsync("it is marked", 2, async () => (await pooler.ConsoleAsync("SHOW SERVERS")).Count(static row => row["close_needed"] == "1"));
            Assert.Equal(server, await idle.ServerAsync());
            return;
        }

        await idle.AssertFatalAsync("database configuration changed");
        Assert.Equal('T', (await busy.QueryAsync("SELECT 1")).TransactionStatus);
        await busy.SendAsync(new PgRequest().Query("COMMIT"));
        List<PgMessage> end = await busy.ReadToEndAsync();
        Assert.Equal(("COMMIT", "database configuration changed"), (end[0].Text(), end[^1].Fields()['M']));
        await Eventually.EqualsAsync("the servers are gone", 0L, () => postgres.CountServersAsync(database));
    }
}
