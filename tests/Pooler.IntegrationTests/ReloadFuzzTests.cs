using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>
/// RELOAD after random edits, right and wrong ones, while clients work and come and go: no client meets an error, what is wrong is
/// refused as a whole with the reason and its line, and what was in force stays. POOLER_TEST_SEED plays a run again,
/// POOLER_TEST_FUZZ_SECONDS says how long.
/// </summary>
public sealed class ReloadFuzzTests(PostgresCluster postgres, ITestOutputHelper output)
{
    private static readonly (string Name, string[] Values)[] Right =
    [
        ("default_pool_size", ["1", "2", "5", "20"]), ("min_pool_size", ["0", "1", "3"]), ("reserve_pool_size", ["0", "2"]), ("reserve_pool_timeout", ["0", "0.1", "5"]),
        ("max_db_connections", ["0", "2", "6"]), ("max_user_connections", ["0", "3"]), ("max_host_connections", ["0", "2", "7"]), ("server_round_robin", ["0", "1"]),
        ("server_lifetime", ["0", "0.5", "3600"]), ("server_idle_timeout", ["0.3", "600"]), ("server_check_delay", ["0", "30"]), ("server_check_query", ["<empty>", "select 1", ""]),
        ("server_reset_query_always", ["0", "1"]), ("max_prepared_statements", ["0", "3", "200"]), ("log_connections", ["0", "1"]),
        ("log_stats", ["0", "1"]), ("stats_period", ["1", "60"]), ("verbose", ["0", "1"]), ("max_client_conn", ["200", "1000"]), ("sbuf_loopcnt", ["1", "5", "0"]),
        ("listen_backlog", ["128", "300"]), ("pkt_buf", ["4096", "8192"]), ("tcp_keepidle", ["0", "60"]), ("autodb_idle_timeout", ["0.2", "3600"]),
        ("pool_idle_timeout", ["0", "0.2"]), ("application_name_add_host", ["0", "1"]), ("query_wait_notify", ["0", "1"]), ("client_login_timeout", ["30", "60"]),
    ];

    private static readonly string[] Wrong =
    [
        "pool_mode = sometimes", "default_pool_size = many", "default_pool_sise = 3", "server_lifetime = 1h", "listen_port = 0", "auth_type = password", "client_tls_sslmode = require",
        "client_tls_sslmode = require", "server_tls_sslmode = verify-all", "auth_file = /nowhere/userlist.txt", "%include /nowhere/more.ini", "[nonsense]", "[pgbouncer", "= 3", "what is this",
        "[databases]\nbroken = host=", "[databases]\nbroken = host=a port=none", "[databases]\npgbouncer = host=a", "[databases]\nbroken = 'unclosed", "[users]\nbob = pool_mode=x", "[users]\nbob = host=a",
    ];

    private static readonly string[] Harmless =
        ["", "; a comment", "# another", "[users]\nbob = pool_size=3 pool_mode=session", "[databases]\n'spare one' = host=127.0.0.1 connect_query='select ''x'''", "[users] ; behind it\n[pgbouncer]"];

    private static readonly double Seconds =
        double.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double seconds) ? seconds : 10;

    [Fact]
    public async Task ClientsNoticeNothing()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_SEED"), out int given) ? given : Random.Shared.Next(1_000_000_000);
        output.WriteLine($"POOLER_TEST_SEED={seed}");
        var random = new Random(seed);
        string database = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(database, "CREATE TABLE work (client int, round int)");
        await postgres.ExecuteAsync(database, $"ALTER TABLE work OWNER TO {PostgresCluster.User}");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases["*"] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
            ini.Settings["pin"] = "auto";
        });
        using var stop = new CancellationTokenSource();
        Task<int>[] clients = [.. Enumerable.Range(0, 6).Select(i => WorkAsync(pooler, database, i, seed, stop.Token))];
        Task visitors = VisitAsync(pooler, database, stop.Token);
        int taken = 0, refused = 0;
        try
        {
            var editor = new Editor(pooler, $"{database} = host=127.0.0.1 port={postgres.Port} dbname={database}", random);
            for (long end = Environment.TickCount64 + (long)(Seconds * 1000); Environment.TickCount64 < end && !clients.Any(static c => c.IsCompleted) && !visitors.IsCompleted;)
            {
                bool isRight = random.Next(3) > 0;
                string text = isRight ? editor.Change() : editor.Break();
                await editor.ReloadAsync(text, isRight);
                taken += isRight ? 1 : 0;
                refused += isRight ? 0 : 1;
            }
        }
        catch (Exception fault)
        {
            throw new InvalidOperationException($"POOLER_TEST_SEED={seed}: {fault.Message}\n{pooler.Log}", fault);
        }
        finally
        {
            await stop.CancelAsync();
        }

        int done = 0;
        try
        {
            done = (await Task.WhenAll(clients)).Sum();
            await visitors;
        }
        catch (Exception fault)
        {
            throw new InvalidOperationException($"POOLER_TEST_SEED={seed}: a client met {fault.Message}\n{pooler.Log}", fault);
        }

        output.WriteLine($"{taken} edits taken, {refused} refused, {done} transactions");
        Assert.True(taken > 3 && refused > 1 && done > 50, $"{taken} edits taken, {refused} refused, {done} transactions");
        Assert.Equal(done, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM work"));
    }

    /// <summary>A client at work: a transaction of several statements, and a prepared statement. How many it has committed.</summary>
    private static async Task<int> WorkAsync(PoolerProcess pooler, string database, int number, int seed, CancellationToken stop)
    {
        using PgWire client = await pooler.LoginAsync(number % 2 == 0 ? database : "auto");
        var random = new Random(seed + number);
        string name = $"s{number}";
        Assert.Null((await AskAsync(client, new PgRequest().Parse(name, "SELECT $1::int + 1").Sync())).Error);
        int round = 0;
        for (; !stop.IsCancellationRequested; round++)
        {
            await RightAsync(client, "BEGIN");
            await RightAsync(client, $"INSERT INTO work VALUES ({number}, {round})");
            if (random.Next(10) == 0)
                await RightAsync(client, "SELECT pg_sleep(0.02)");
            await RightAsync(client, "COMMIT");
            PgReply sum = await AskAsync(client, new PgRequest().Bind("", name, [$"{round}"]).Execute("", 0).Sync());
            Assert.True(sum.Error is null && sum.Scalar == $"{round + 1}", $"client {number}, round {round}: {sum}");
        }

        return round;
    }

    /// <summary>Clients that come and go.</summary>
    private static async Task VisitAsync(PoolerProcess pooler, string database, CancellationToken stop)
    {
        for (int i = 0; !stop.IsCancellationRequested; i++)
        {
            using PgWire client = await pooler.LoginAsync(i % 2 == 0 ? database : $"auto{i % 5}");
            await RightAsync(client, "SELECT 1");
        }
    }

    private static async Task RightAsync(PgWire client, string sql)
    {
        PgReply reply = await client.QueryAsync(sql);
        Assert.True(reply.Error is null, $"{sql}: {reply}");
    }

    private static async Task<PgReply> AskAsync(PgWire client, PgRequest request)
    {
        await client.SendAsync(request);
        return await client.ReadReplyAsync();
    }

    /// <summary>Edits the file, and looks at what a RELOAD makes of it.</summary>
    private sealed class Editor(PoolerProcess pooler, string entry, Random random)
    {
        private readonly string _path = Path.Combine(pooler.Folder, "pooler.ini");
        private readonly string _start = File.ReadAllText(Path.Combine(pooler.Folder, "pooler.ini"));
        private readonly Dictionary<string, string> _settings = [];
        private string _entry = "", _broken = "";
        private int _refused;

        public string Change()
        {
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                (string name, string[] values) = Right[random.Next(Right.Length)];
                _settings[name] = values[random.Next(values.Length)];
                if (random.Next(4) == 0)
                    _settings.Remove(name);
            }

            // Other servers take the place of those there are.
            _entry = random.Next(4) switch
            {
                0 => "",
                1 => $"[databases]\n{entry} connect_query='SELECT {random.Next(3)}'",
                2 => $"[databases]\n{entry} pool_size={random.Next(1, 5)} reserve_pool=1 max_db_connections={random.Next(3)}",
                _ => _entry,
            };
            return Text(Harmless[random.Next(Harmless.Length)]);
        }

        public string Break()
        {
            // Right changes beside the wrong one are not taken either.
            string before = string.Join('\n', Right.Where(_ => random.Next(6) == 0).Select(setting => $"{setting.Name} = {setting.Values[0]}"));
            _broken = Wrong[random.Next(Wrong.Length)];
            bool isOfLast = _broken.StartsWith("auth_file", StringComparison.Ordinal); // Of two lines the last counts.
            return isOfLast || random.Next(2) == 0 ? Text($"{before}\n{_broken}") : $"[pgbouncer]\n{before}\n{_broken}\n{Text("")}";
        }

        public async Task ReloadAsync(string text, bool isRight)
        {
            List<string> before = await ShownAsync();
            await File.WriteAllTextAsync(_path, text);
            using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
            PgReply reply = await console.QueryAsync("RELOAD");
            if (!isRight)
            {
                Assert.True(reply.Error is { SqlState: "F0000" }, $"{_broken}: {reply}");
                Assert.Equal(before, await ShownAsync());
                _refused++;
                await Eventually.BecomesAsync($"the log names the line of {_broken}", () => Task.FromResult(pooler.LogLines), log =>
                    log.Count(static line => line.Contains(" ERROR RELOAD failed", StringComparison.Ordinal)) == _refused && log.Reverse().SkipWhile(static line => !line.Contains(" ERROR RELOAD failed", StringComparison.Ordinal))
                        .TakeWhile(static line => !line.Contains("RELOAD command issued", StringComparison.Ordinal)).Any(static line => line.Contains("ERROR", StringComparison.Ordinal) && line.Contains("pooler.ini:", StringComparison.Ordinal)));
                return;
            }

            Assert.True(reply.Error is null, $"{text}\n{reply}");
            Dictionary<string, string?> shown = (await pooler.ConsoleAsync("SHOW CONFIG")).ToDictionary(static row => row["key"]!, static row => row["value"]);
            foreach ((string name, string value) in _settings.Where(static s => s.Key is not ("listen_backlog" or "pkt_buf")))
                Assert.True(shown[name] == value, $"{name} is {shown[name]} instead of {value}");
        }

        private string Text(string more) =>
            $"{_start}\n{string.Join('\n', _settings.Select(static s => $"{s.Key} = {s.Value}"))}\n{_entry}\n{more}\n";

        private async Task<List<string>> ShownAsync()
        {
            var config = (await pooler.ConsoleAsync("SHOW CONFIG")).Select(static row => $"{row["key"]}={row["value"]}");
            return [.. config, .. (await pooler.ConsoleAsync("SHOW DATABASES")).Where(static row => !row["name"]!.StartsWith("auto", StringComparison.Ordinal)).Select(static row => $"{row["name"]}/{row["host"]}/{row["database"]}")];
        }
    }
}
