using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>
/// Every console command that was recorded from PgBouncer 1.25.2, in its order and with the same configuration: whatever is answered
/// otherwise is on a short list, and each of that list is a line of docs/differences.md.
/// </summary>
public sealed class RecordedConsoleTests(PostgresCluster postgres)
{
    private const string Admin = PostgresCluster.Superuser, Watcher = "watcher";

    /// <summary>What is not as recorded: what we answer (a pattern over its lines), and the first cell of its line in docs/differences.md.</summary>
    private static readonly Dictionary<string, (string Ours, string Row)> Differences = new()
    {
        ["SHOW HELP"] = ("^N NOTICE, 00000, Console usage, \n\tSHOW HELP\\|CONFIG(?s:.)*SWITCHOVER(?s:.)*\nC SHOW\nZ I$", "SHOW HELP"),
        ["SHOW FDS"] = ("^E ERROR, 0A000, SHOW FDS is not supported: .*so_reuseport.*\nZ I$", "SUSPEND for a take-over, `-R`, SHOW FDS"),
        ["SHOW VERSION"] = (@"^T version 25 -1\nPgBouncer 1\.25\.2 compatible, .*\nC SHOW\nZ I$", "SHOW VERSION"),
        ["SELECT VERSION"] = (@"^T version 25 -1\nPgBouncer 1\.25\.2 compatible, .*\nC SHOW\nZ I$", "SHOW VERSION"),
        ["SHOW LISTS"] = (
            @"^T list 25 -1, items 23 4\ndatabases\|4\nusers\|3\npeers\|\*\npools\|2\npeer_pools\|\*\nfree_clients\|0\nused_clients\|2\nlogin_clients\|0\n"
            + @"free_servers\|0\nused_servers\|1\ndns_names\|\*\ndns_zones\|\*\ndns_queries\|\*\ndns_pending\|\*\nC SHOW\nZ I$", "SHOW LISTS: `free_clients`, `free_servers`"),
        ["SET extra_float_digits=2"] = ("^N NOTICE, 00000, SET ignored\nC SET\nZ I$", "SET extra_float_digits on the console"),
        ["Parse on the console"] = ("^1 \nZ I$", "the extended protocol on the console"),
        ["login to unknown database"] = ("^E FATAL, 3D000, no such database: nosuchdb\nclosed True$", "a database that is not there"),
        ["login with unsupported startup parameter"] = ("^R 0\n(S .*\n)*K 8\nZ I$", "startup parameters that servers do not report"),
        ["login with options -c work_mem"] = ("^R 0\n(S .*\n)*K 8\nZ I$", "startup parameters that servers do not report"),
    };

    [Fact]
    public async Task EveryAnswerIsAsRecordedOrInTheListOfDifferences()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database);
        using PgWire admin = await PgWire.ConnectAsync(pooler.EndPoint), watcher = await PgWire.ConnectAsync(pooler.EndPoint);
        using (PgWire first = await pooler.LoginAsync("app", Admin))
            await first.QueryAsync("SELECT 1");
        using PgWire client = await pooler.LoginAsync("app", Admin);
        await client.QueryAsync("BEGIN");
        await Eventually.EqualsAsync("the first client has left", 1, () => ClientsAsync(pooler));

        string ToRecord(string value) => value == $"{postgres.Port}" ? "5502" : value == $"{pooler.Port}" ? "6510" : value == database ? "bench" : value;
        var wrong = new List<string>();
        foreach ((string command, JsonElement[] messages) in RecordedConsole.All)
        {
            IEnumerable<PgMessage> answer = await AnswerAsync(pooler, command, admin, watcher);
            string[] expectedLines = [.. Sorted(command, RecordedConsole.Expected(command, messages))], seenLines = [.. Sorted(command, RecordedConsole.Seen(command, answer, ToRecord))];
            string expected = string.Join('\n', expectedLines), seen = string.Join('\n', seenLines);
            if (Differences.TryGetValue(command, out var difference))
            {
                if (seen == expected || !Regex.IsMatch(seen, difference.Ours))
                    wrong.Add($"{command}: on the list of differences, and now\n{seen}");
            }
            else if (seen != expected)
            {
                wrong.Add($"{command}:\n{string.Join('\n', seenLines.Except(expectedLines))}\n  recorded:\n{string.Join('\n', expectedLines.Except(seenLines))}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n\n", wrong));
    }

    [Fact]
    public void EveryDifferenceIsALineOfThePage()
    {
        string[] rows = [.. File.ReadLines(Repository.PathOf("docs", "differences.md")).Where(static l => l.StartsWith('|')).Select(static l => l.Split('|')[1].Trim())];
        Assert.All(Differences.Values, difference => Assert.Contains(difference.Row, rows));
    }

    /// <summary>The setting that brings PgBouncer's behaviour back does so.</summary>
    [Fact]
    public async Task UnsupportedStartupParametersAreRefusedOnDemand()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, static ini => ini.Settings["startup_parameters"] = "refuse");
        using PgWire unused = await PgWire.ConnectAsync(pooler.EndPoint);
        foreach ((string command, JsonElement[] messages) in RecordedConsole.All.Where(static e => e.Command.Contains("-c work_mem", StringComparison.Ordinal) || e.Command.Contains("startup parameter", StringComparison.Ordinal)))
        {
            string[] seen = RecordedConsole.Seen(command, await AnswerAsync(pooler, command, unused, unused), static v => v);
            Assert.Equal(RecordedConsole.Expected(command, messages), seen);
        }
    }

    /// <summary>ParameterStatus messages of a login come in an order that PostgreSQL leaves open, and tell its version.</summary>
    private static IEnumerable<string> Sorted(string command, string[] lines) => command == "login to statement-mode database"
        ? lines.Select(static l => Regex.Replace(l, "^S (server_version|TimeZone), .*", "S $1, *")).Order(StringComparer.Ordinal) : lines;

    private static async Task<IEnumerable<PgMessage>> AnswerAsync(PoolerProcess pooler, string command, PgWire admin, PgWire watcher)
    {
        switch (command)
        {
            case "login postgres":
                return (await admin.LoginAsync("pgbouncer", Admin)).Messages;
            case "login watcher (stats_users)":
                return (await watcher.LoginAsync("pgbouncer", Watcher)).Messages;
            case "login nobody to pgbouncer":
                return await LoginAsync(pooler, "pgbouncer", "nobody");
            case "login to unknown database":
                return await LoginAsync(pooler, "nosuchdb", Admin);
            case "login with unsupported startup parameter":
                return await LoginAsync(pooler, "app", Admin, ("foo", "bar"));
            case "login with options -c work_mem":
                return await LoginAsync(pooler, "app", Admin, ("options", "-c work_mem=1MB"));
            case "login to statement-mode database":
                await admin.QueryAsync("RESUME forced"); // KILL has paused it.
                return await LoginAsync(pooler, "forced", Admin);
            case "BEGIN in statement mode":
                using (PgWire client = await pooler.LoginAsync("forced", Admin))
                    return (await client.QueryAsync("BEGIN")).Messages;
            case "Parse on the console":
                await admin.SendAsync(new PgRequest().Parse("", "SHOW POOLS").Sync());
                return (await admin.ReadReplyAsync()).Messages;
            default:
                bool isWatchers = command.StartsWith("watcher: ", StringComparison.Ordinal);
                return (await (isWatchers ? watcher : admin).QueryAsync(isWatchers ? command["watcher: ".Length..] : command)).Messages;
        }
    }

    private static async Task<IEnumerable<PgMessage>> LoginAsync(PoolerProcess pooler, string database, string user, params (string, string)[] more)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup([("user", user), ("database", database), .. more]));
        var messages = new List<PgMessage>();
        while (await wire.ReadAsync() is { } message)
        {
            messages.Add(message);
            if (message.Type == 'Z')
                return messages;
        }

        return [.. messages, new PgMessage('x', [])];
    }

    private static async Task<int> ClientsAsync(PoolerProcess pooler)
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", Admin);
        return (await console.QueryAsync("SHOW CLIENTS")).Rows.Count(static row => row[2] == "app");
    }

    private async Task<PoolerProcess> StartAsync(string database, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        string host = $"host=127.0.0.1 port={postgres.Port.ToString(CultureInfo.InvariantCulture)} dbname={database}";
        ini.Databases["app"] = $"{host} pool_size=7 min_pool_size=1 reserve_pool_size=2";
        ini.Databases["forced"] = $"{host} user={Admin} pool_mode=statement";
        ini.Databases["multi"] = host.Replace("127.0.0.1", "127.0.0.1,localhost", StringComparison.Ordinal);
        ini.UserSettings[Admin] = "pool_mode=transaction pool_size=9 max_user_connections=30";
        ini.Settings.Clear();
        ini.Settings["listen_addr"] = "127.0.0.1";
        ini.Settings["auth_type"] = "trust";
        ini.Settings["admin_users"] = Admin;
        ini.Settings["stats_users"] = Watcher;
        ini.Settings["peer_id"] = "1";
        ini.Passwords.Clear();
        ini.Passwords[Admin] = "";
        ini.Passwords[Watcher] = "";
        adjust?.Invoke(ini);
        return await PoolerProcess.StartAsync(ini);
    }
}
