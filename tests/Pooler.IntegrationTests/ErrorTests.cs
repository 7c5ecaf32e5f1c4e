using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>
/// What Pooler's own errors say: PgBouncer's words, DETAIL with the cause and its figures, HINT with the setting, where it stands and what
/// to do, and a name that the log has at the line of the same event.
/// </summary>
public sealed partial class ErrorTests(PostgresCluster postgres)
{
    /// <summary>Who waits is told what the pool looked like; the setting is told where it stands.</summary>
    [Fact]
    public Task InTheQueue() => WithPoolerAsync(static (ini, database) =>
    {
        Users(ini, ("waits", "query_wait_timeout=0.3"), ("asks", "query_timeout=0.2"), ("holds", ""));
        ini.Databases[database] += " pool_size=1";
        ini.Databases["capped"] = ini.Databases[database].Replace("pool_size=1", "max_db_connections=1 query_wait_timeout=0.3", StringComparison.Ordinal);
        ini.Settings["query_wait_notify"] = "1";
    }, async (pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database, "holds"), waits = await pooler.LoginAsync(database, "waits"), asks = await pooler.LoginAsync(database, "asks");
        await holder.QueryAsync("BEGIN");
        await waits.SendAsync(new PgRequest().Query("SELECT 1"));
        await IsToldAsync(pooler, await waits.ReadFatalAsync(), "query_wait_timeout", "08P01",
            $@"^The pool {database}/app has 1 of 1 servers \(pool_size\), and none of them is free; 1 clients wait\. That was 0\.[3-9] s\.",
            "query_wait_timeout = 0.3 (entry \"waits\" of [users]). See what holds the servers (SHOW POOLS, SHOW SERVERS); give the pool more (pool_size)");
        await asks.SendAsync(new PgRequest().Query("SELECT 1"));
        await IsToldAsync(pooler, await asks.ReadFatalAsync(), "query_timeout", "08P01", "^The pool .* none of them is free", "query_timeout = 0.2 (entry \"asks\" of [users]). ");

        using PgWire first = await pooler.LoginAsync("capped", "holds"), second = await pooler.LoginAsync("capped", "holds");
        await first.QueryAsync("BEGIN");
        await second.SendAsync(new PgRequest().Query("SELECT 1"));
        await IsToldAsync(pooler, await second.ReadFatalAsync(), "query_wait_timeout", "08P01",
            @"^The pool capped/app has 1 of 20 servers and may open no more: max_db_connections = 1 is reached; 1 clients wait\.", "query_wait_timeout = 0.3 (entry \"capped\" of [databases]). ");

        // A notice too, and a cancel; the session goes on.
        using PgWire patient = await pooler.LoginAsync(database, "holds");
        await patient.SendAsync(new PgRequest().Query("SELECT 1"));
        Dictionary<char, string> notice = (await patient.ReadAsync())!.Value.Fields();
        Assert.Equal("No server connection available in postgres backend, client being queued", notice['M']);
        Assert.Contains("none of them is free", notice['D'], StringComparison.Ordinal);
        Assert.StartsWith("query_wait_notify = 1 ([pgbouncer]). ", notice['H'], StringComparison.Ordinal);
        using (PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint))
            await cancel.SendAsync(PgRequest.Cancel(patient.ProcessId, patient.Secret));
        await IsToldAsync(pooler, (await patient.ReadReplyAsync()).Error!.Value, "canceling statement due to user request", "57014", "^No server has run anything of it\\.", "Nothing: it was not run.");
    });

    [Fact]
    public Task InASession() => WithPoolerAsync(static (ini, database) =>
    {
        Users(ini, ("runs", "query_timeout=0.2"), ("sleeps", "client_idle_timeout=0.2"), ("dawdles", "idle_transaction_timeout=0.2"), ("lingers", "transaction_timeout=0.2"), ("plain", ""));
        ini.Databases["single"] = ini.Databases[database] + " pool_mode=statement";
        ini.Settings["max_packet_size"] = "1000";
        ini.Settings["pin"] = "refuse";
    }, async (pooler, database) =>
    {
        string server = $@"Its server is 127\.0\.0\.1:{postgres.Port}, process \d+\.";
        using PgWire runs = await pooler.LoginAsync(database, "runs");
        await runs.QueryAsync("BEGIN READ ONLY");
        await runs.SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await IsToldAsync(pooler, await runs.ReadFatalAsync(), "query timeout", "08P01", $@"^The request has no answer yet\. That was 0\.[2-9] s\. {server}", "query_timeout = 0.2 (entry \"runs\" of [users]). Make the query faster");

        using PgWire unsure = await pooler.LoginAsync(database, "runs");
        await unsure.SendAsync(new PgRequest().Query("SELECT pg_sleep(60)"));
        await IsToldAsync(pooler, await unsure.ReadFatalAsync(), "query timeout (the outcome of the request is unknown)", "08007",
            @"^It was sent to the server and not answered: it may or may not have been committed\. The request has no answer yet\.", "Look whether its changes are there before you run it again. query_timeout = 0.2 (");

        using PgWire sleeps = await pooler.LoginAsync(database, "sleeps");
        await IsToldAsync(pooler, await sleeps.ReadFatalAsync(), "client_idle_timeout", "08P01", @"^The client asked for nothing\. That was 0\.[2-9] s\. In", "client_idle_timeout = 0.2 (entry \"sleeps\" of [users]). ");
        using PgWire dawdles = await pooler.LoginAsync(database, "dawdles");
        await dawdles.QueryAsync("BEGIN");
        await IsToldAsync(pooler, await dawdles.ReadFatalAsync(), "idle transaction timeout", "08P01", @"^The client was silent in a transaction\.", "idle_transaction_timeout = 0.2 (entry \"dawdles\" of [users]). ");
        using PgWire lingers = await pooler.LoginAsync(database, "lingers");
        await lingers.QueryAsync("BEGIN");
        await IsToldAsync(pooler, await lingers.ReadFatalAsync(), "transaction timeout", "08P01", $@"^The transaction is still open\. .*{server}", "transaction_timeout = 0.2 (entry \"lingers\" of [users]). ");

        using PgWire single = await pooler.LoginAsync("single", "plain");
        await single.SendAsync(new PgRequest().Query("BEGIN"));
        await IsToldAsync(pooler, await single.ReadFatalAsync(), "transaction blocks not allowed in statement pooling mode", "08P01", "^The request has left a transaction open\\.", "pool_mode = statement (entry \"single\" of [databases]). Use pool_mode = transaction");
        using PgWire large = await pooler.LoginAsync(database, "plain");
        await large.SendAsync(new PgRequest().Query($"SELECT 1 -- {new string('x', 1100)}"));
        await IsToldAsync(pooler, await large.ReadFatalAsync(), "packet too large (max_packet_size)", "08P01", @"^The message has 1\d\d\d bytes, max_packet_size is 1000\.", "Send less at once");

        using PgWire listens = await pooler.LoginAsync(database, "plain");
        PgReply reply = await listens.QueryAsync("LISTEN a");
        await IsToldAsync(pooler, reply.Error!.Value, "LISTEN needs a server of its own (pin = refuse)", "0A000", "^The entry's pool_mode is transaction", "pin = refuse ([pgbouncer]). Use a database with pool_mode = session");
        Assert.Equal('I', reply.TransactionStatus);

        await pooler.CommandAsync($"KILL {database}");
        await IsToldAsync(pooler, await listens.ReadFatalAsync(), "admin forced disconnect", "08P01", "^KILL was given\\.", "Ask whoever operates the pooler");
    });

    /// <summary>What the server said last, and which it was.</summary>
    [Fact]
    public async Task OfServers()
    {
        await using var silent = new FakeServer(static _ => Task.Delay(Timeout.Infinite));
        await WithPoolerAsync((ini, database) =>
        {
            Users(ini, ("plain", ""));
            ini.Databases["silent"] = $"host=127.0.0.1 port={silent.Port} dbname=s user=app";
            ini.Databases["gone"] = "host=127.0.0.1 port=1 dbname=g user=app";
            ini.Databases["other"] = ini.Databases[database].Replace($"dbname={database}", "dbname=nowhere", StringComparison.Ordinal);
            ini.Databases["routed"] = "host=127.0.0.1 port=1 dbname=r user=app routing=primary failover_hold_time=0.3";
            ini.Settings["server_connect_timeout"] = "0.4";
            ini.Settings["server_login_retry"] = "30";
        }, async (pooler, database) =>
        {
            await IsToldAsync(pooler, await RefusalAsync(pooler, "silent"), "connect timeout", "08001",
                $@"^Waited 0\.4 s; the connection was taken, and SSLRequest or the TLS handshake \(server_tls_sslmode\) not answered\. The server is 127\.0\.0\.1:{silent.Port}, user ""app"", database ""s""\.",
                "server_connect_timeout = 0.4 ([pgbouncer]). See whether the server");
            await IsToldAsync(pooler, await RefusalAsync(pooler, "silent"), "server login has been failing, cached error: connect timeout (server_login_retry)", "08001",
                "^Waited 0\\.4 s; .* The server is 127", "server_login_retry = 30 ([pgbouncer]). Mend what the message says");
            await IsToldAsync(pooler, await RefusalAsync(pooler, "gone"), "server connect failed: 127.0.0.1:1: Connection refused", "08001",
                @"^The server is 127\.0\.0\.1:1, user ""app"", database ""g""\.", "See host= and port= of the database entry");
            await IsToldAsync(pooler, await RefusalAsync(pooler, "other"), "database \"nowhere\" does not exist", "3D000",
                $@"^The server is 127\.0\.0\.1:{postgres.Port}, user ""app"", database ""nowhere""\.", null);
            await IsToldAsync(pooler, await RefusalAsync(pooler, "routed"), "no host takes writes, for longer than failover_hold_time (database \"routed\")", "57P03",
                @"^127\.0\.0\.1:1 \(unknown\) does not answer: .*refused", "failover_hold_time = 0.3 (entry \"routed\" of [databases]). SHOW HOSTS on the console");

            using PgWire lost = await pooler.LoginAsync(database, "plain");
            await lost.QueryAsync("BEGIN");
            int server = await lost.ServerAsync();
            await postgres.ScalarAsync<bool>(PostgresCluster.Superuser, $"SELECT pg_terminate_backend({server})");
            await IsToldAsync(pooler, await lost.ReadFatalAsync(), "terminating connection due to administrator command", "57P01",
                $@"^The transaction was not committed\. The server is 127\.0\.0\.1:{postgres.Port}, process {server}, user ""app""", "Connect again and run it from its beginning.");
        });
    }

    /// <summary>Who has not proved who he is cannot tell by what he reads whether a user exists; the operator can.</summary>
    [Fact]
    public Task AtLogin() => WithPoolerAsync(static (ini, database) =>
    {
        ini.Settings["auth_type"] = "plain";
        ini.Passwords[PoolerIni.Admin] = "admin's";
        ini.Databases["full"] = ini.Databases[database] + " max_db_client_connections=1";
        ini.Databases["off"] = ini.Databases[database];
    }, async (pooler, database) =>
    {
        (PgMessage known, PgMessage unknown) = (await RefusalAsync(pooler, database, PostgresCluster.Md5User, "wrong"), await RefusalAsync(pooler, database, "nobody", "wrong"));
        foreach ((PgMessage error, string cause) in ((PgMessage, string)[])[(known, "what the client answered does not fit the secret that is stored of the user"), (unknown, "no secret is known of the user (auth_file, auth_query)")])
        {
            string id = await IsToldAsync(pooler, error, "password authentication failed", "28P01", "^In the log", null);
            Assert.DoesNotContain('H', error.Fields().Keys);
            await pooler.SeesInLogAsync($"login refused: {cause}");
            Assert.Contains(pooler.LogLines, line => line.Contains(id + ": ", StringComparison.Ordinal) && line.EndsWith(cause, StringComparison.Ordinal));
        }

        Assert.Equal(Trail().Replace(known.Fields()['D'], ""), Trail().Replace(unknown.Fields()['D'], ""));
        await IsToldAsync(pooler, await RefusalAsync(pooler, "nowhere", PostgresCluster.Md5User, PostgresCluster.Md5Password), "no such database: nowhere", "3D000", "^In the log", "Correct the client's dbname, or add the entry and RELOAD.");
        using (PgWire console = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            Assert.Null((await LogInAsync(console, "pgbouncer", PoolerIni.Admin, "admin's")).Error);
            await console.QueryAsync("DISABLE off");
        }

        await IsToldAsync(pooler, await RefusalAsync(pooler, "off", PostgresCluster.Md5User, PostgresCluster.Md5Password), "database \"off\" is disabled", "08P01", "^In the log", "ENABLE it on the console.");
        using PgWire first = await PgWire.ConnectAsync(pooler.EndPoint);
        Assert.Null((await LogInAsync(first, "full", PostgresCluster.Md5User, PostgresCluster.Md5Password)).Error);
        await IsToldAsync(pooler, await RefusalAsync(pooler, "full", PostgresCluster.Md5User, PostgresCluster.Md5Password), "client connections exceeded (max_db_client_connections)", "08P01",
            "^As many clients of database \"full\" are connected as may be\\.", "max_db_client_connections = 1 (entry \"full\" of [databases]). ");
    });

    [Fact]
    public Task OnTheConsole() => WithPoolerAsync(static (_, _) => { }, async (pooler, database) =>
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        foreach ((string command, string message, string hint) in ((string, string, string)[])
        [
            ("FLY", "invalid command 'FLY', use SHOW HELP;", "SHOW HELP lists the commands."),
            ("RESUME", "pooler is not paused/suspended", "A database that was paused by itself is resumed by its name."),
            ($"PAUSE nowhere", "no such database: nowhere", "SHOW DATABASES lists them."),
            ("KILL_CLIENT 4711", "client not found", "It is the column id of SHOW CLIENTS."),
            ("SET nothing = 1", "SET failed", "SHOW CONFIG lists the settings."),
        ])
        {
            await IsToldAsync(pooler, (await console.QueryAsync(command)).Error!.Value, message, "08P01", "^In the log", hint);
        }

        // An id is found in one log: it is neither another connection's nor another process's.
        await using PoolerProcess next = await PoolerProcess.StartAsync(postgres, database);
        using PgWire there = await next.LoginAsync("pgbouncer", PoolerIni.Admin);
        string here = Trail().Match((await console.QueryAsync("FLY")).Error!.Value.Fields()['D']).Groups[1].Value;
        string beside = Trail().Match((await there.QueryAsync("FLY")).Error!.Value.Fields()['D']).Groups[1].Value;
        Assert.NotEqual(here[..^8], beside[..^8]);
        Assert.DoesNotContain(beside, pooler.Log, StringComparison.Ordinal);
        Assert.Equal("1", (await console.QueryAsync("SHOW CLIENTS")).ToMaps().Count(row => $"C-{row["ptr"]}" == here).ToString(System.Globalization.CultureInfo.InvariantCulture));
    });

    /// <summary>The name the error gives for the log, which has it.</summary>
    private static async Task<string> IsToldAsync(PoolerProcess pooler, PgMessage error, string message, string sqlState, string detail, string? hint)
    {
        Dictionary<char, string> fields = error.Fields();
        Assert.Equal((message, sqlState), (fields['M'], fields['C']));
        Assert.Matches(detail, fields['D']);
        if (hint != null)
            Assert.StartsWith(hint, fields.GetValueOrDefault('H', "(none)"), StringComparison.Ordinal);
        Match trail = Trail().Match(fields['D']);
        Assert.True(trail.Success, fields['D']);
        string id = trail.Groups[1].Value, reason = message.Replace(" (the outcome of the request is unknown)", "", StringComparison.Ordinal); // The log has PgBouncer's words.
        await Eventually.BecomesAsync($"the log has {id} with the error", () => Task.FromResult(pooler.Log), _ => pooler.LogLines.Any(line =>
            line.Contains($"WARNING {id}: ", StringComparison.Ordinal) && line.EndsWith($" pooler error: {reason}", StringComparison.Ordinal)));
        return id;
    }

    private static void Users(PoolerIni ini, params (string Name, string Settings)[] users)
    {
        foreach ((string name, string settings) in users)
        {
            ini.Passwords[name] = "";
            if (settings.Length > 0)
                ini.UserSettings[name] = settings;
        }
    }

    private static async Task<PgMessage> RefusalAsync(PoolerProcess pooler, string database, string user = "plain", string password = "")
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        return (await LogInAsync(wire, database, user, password)).Error!.Value;
    }

    private static async Task<PgReply> LogInAsync(PgWire wire, string database, string user, string password)
    {
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", database)));
        var messages = new List<PgMessage>();
        while (await wire.ReadAsync() is { } message)
        {
            messages.Add(message);
            if (message.Type == 'R' && message.Body[3] == 3)
                await wire.SendAsync(new PgRequest().Password(password));
            if (message.Type == 'Z')
                break;
        }

        return new PgReply(messages);
    }

    [GeneratedRegex(@"In the log: (C-0x[0-9a-f]{9,16}), \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\.$")]
    private static partial Regex Trail();

    private async Task WithPoolerAsync(Action<PoolerIni, string> adjust, Func<PoolerProcess, string, Task> test)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] += " user=app";
            adjust(ini, database);
        });
        await test(pooler, database);
    }
}
