using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>
/// Programs by chance of statements, settings, prepared names, transactions, savepoints, errors and disconnects: three clients on
/// ONE server are answered, and see their settings, as three on connections of their own.
/// </summary>
public sealed class SessionsAsPostgresTests(PostgresCluster postgres)
{
    private const int Clients = 3, Programs = 25, Steps = 24;

    private const string Look = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('application_name'), "
        + "current_setting('work_mem'), current_setting('search_path'), current_setting('statement_timeout'), current_setting('app.tenant', true), current_user, '2001-02-03'::date";

    private static readonly (string, string)[][] Startups =
    [
        [],
        [("TimeZone", "Asia/Tokyo"), ("DateStyle", "German"), ("application_name", "one")],
        [("options", "-c work_mem=1MB -c search_path=pg_catalog --TimeZone=UTC")],
        [("work_mem", "2048"), ("statement_timeout", "1min"), ("app.tenant", "it's")],
        [("role", PostgresCluster.Borrowed), ("IntervalStyle", "iso_8601")],
    ];

    private static readonly string[] Queries =
    [
        "SELECT 1", "SELECT 1/0", "SELECT nothing", "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO b", "RELEASE a",
        "SET TimeZone TO 'Europe/Paris'", "SET LOCAL TimeZone TO 'UTC'", "SET DateStyle TO 'sql, dmy'", "SET DateStyle TO 'ymd'", "SET application_name TO 'set'",
        "SET IntervalStyle TO 'sql_standard'", "SELECT set_config('TimeZone', 'America/New_York', false)", "SELECT set_config('TimeZone', 'UTC', true)",
        "SET TimeZone TO 'nowhere'", "SET TimeZone TO 'UTC'; SELECT 1/0", "SET LOCAL work_mem TO '5MB'", "SELECT set_config('app.tenant', 'local', true)",
        "RESET TimeZone", "RESET DateStyle", "RESET work_mem", "SET TimeZone TO DEFAULT", "RESET ALL", "DISCARD ALL",
        "BEGIN; SET TimeZone TO 'Asia/Tokyo'; COMMIT", "BEGIN; SET LOCAL DateStyle TO 'iso'; SELECT 1/0",
    ];

    // With these a client may keep the server: the others wait until it has let go.
    private static readonly string[] Pinning =
    [
        "SET work_mem TO '9MB'", "SET search_path TO public", "SET app.tenant TO 'two'", "SELECT set_config('statement_timeout', '2min', false)", "SET ROLE NONE",
        "LISTEN news", "CREATE TEMP TABLE mine (a int)", "SELECT count(*) FROM mine", "SELECT pg_advisory_lock(1)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH c",
        "UNLISTEN *", "DROP TABLE mine", "SELECT pg_advisory_unlock(1)", "CLOSE c", "RESET work_mem",
    ];

    [Theory]
    [InlineData(false, 11)]
    [InlineData(false, 12)]
    [InlineData(true, 13)]
    [InlineData(true, 14)]
    public async Task AnyProgramIsAnsweredAsByPostgres(bool pins, int seed)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer loses such settings");
        var random = new Random(seed);
        string database = await postgres.CreateDatabaseAsync(), ownDatabase = await postgres.CreateDatabaseAsync(); // Advisory locks are a database's.
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: static ini => ini.Settings["ignore_startup_parameters"] = "");
        var direct = new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port);
        for (int program = 0; program < Programs; program++)
        {
            var pairs = new (PgWire Got, PgWire Wanted)[Clients];
            for (int i = 0; i < Clients; i++)
                pairs[i] = await LoginAsync(random, pooler.EndPoint, direct, database, ownDatabase);
            List<string> steps = [];
            int turn = 0;
            for (int i = 0; i < Steps; i++)
            {
                if (random.Next(12) == 0)
                {
                    steps.Add($"{turn}: leaves");
                    pairs[turn].Got.Dispose();
                    pairs[turn].Wanted.Dispose();
                    pairs[turn] = await LoginAsync(random, pooler.EndPoint, direct, database, ownDatabase);
                }

                PgRequest request = AnyRequest(random, pins, out int replies, out string told);
                steps.Add($"{turn}: {told}");
                string end = await CompareAsync(pairs[turn], request, replies, steps, pooler);
                if (end != "E")
                    await CompareAsync(pairs[turn], new PgRequest().Query(Look), 1, steps, pooler);
                if (end != "I")
                    continue;
                if (pins)
                {
                    // The server is let go of by whoever may hold it before another has its turn.
                    if (random.Next(3) > 0)
                        continue;
                    steps.Add($"{turn}: DISCARD ALL");
                    await CompareAsync(pairs[turn], new PgRequest().Query("DISCARD ALL"), 1, steps, pooler);
                }

                turn = random.Next(Clients);
            }

            foreach ((PgWire got, PgWire wanted) in pairs)
            {
                got.Dispose();
                wanted.Dispose();
            }
        }
    }

    private static async Task<(PgWire, PgWire)> LoginAsync(Random random, System.Net.EndPoint pooler, System.Net.EndPoint direct, string database, string ownDatabase)
    {
        (string, string)[] startup = Startups[random.Next(Startups.Length)];
        PgWire got = await PgWire.ConnectAsync(pooler), wanted = await PgWire.ConnectAsync(direct);
        await got.LoginAsync(database, PostgresCluster.User, startup);
        await wanted.LoginAsync(ownDatabase, PostgresCluster.User, startup);
        return (got, wanted);
    }

    private static PgRequest AnyRequest(Random random, bool pins, out int replies, out string told)
    {
        string sql = pins && random.Next(2) == 0 ? Pinning[random.Next(Pinning.Length)] : Queries[random.Next(Queries.Length)];
        string name = random.Next(2) == 0 ? "one" : "two";
        replies = 1;
        switch (random.Next(6))
        {
            case 0 when !sql.Contains(';'):
                told = $"unnamed {sql}";
                return new PgRequest().Parse("", sql).Bind("", "").Execute().Sync();
            case 1:
                told = $"prepare {name}";
                return new PgRequest().Close('S', name).Parse(name, "SELECT current_setting('TimeZone'), '2001-02-03'::date::text").Bind("", name).Execute().Sync();
            case 2:
                told = $"run {name}";
                return new PgRequest().Bind("", name).Execute().Sync();
            default:
                told = sql;
                return new PgRequest().Query(sql);
        }
    }

    /// <summary>The status of the transaction in which both now are.</summary>
    private static async Task<string> CompareAsync((PgWire Got, PgWire Wanted) pair, PgRequest request, int replies, List<string> steps, PoolerProcess pooler)
    {
        string wanted = await RunAsync(pair.Wanted, request, replies), got = await RunAsync(pair.Got, request, replies);
        Assert.True(wanted == got, $"{string.Join('\n', steps)}\nPostgreSQL: {wanted}\nPooler:     {got}\n{pooler.Log}");
        return wanted[^1..];
    }

    // ParameterStatus may come a reply later: what is set the statements themselves tell.
    private static async Task<string> RunAsync(PgWire wire, PgRequest request, int replies)
    {
        await wire.SendAsync(request);
        var told = new StringBuilder();
        try
        {
            for (int i = 0; i < replies; i++)
            {
                foreach (PgMessage message in (await wire.ReadReplyAsync()).Messages.Where(static m => m.Type is not ('S' or 'A')))
                    told.Append(message.Type switch
                    {
                        'E' => $"E({message.SqlState} {message.Fields()['M']}) ",
                        'D' => $"D({string.Join('|', message.Values())}) ",
                        'C' => $"C({message.Text()}) ",
                        'Z' => $"Z {(char)message.Body[0]}",
                        _ => $"{message.Type} ",
                    });
            }
        }
        catch (Exception fault) when (fault is TimeoutException or EndOfStreamException)
        {
            told.Append(fault.Message);
        }

        return told.ToString();
    }
}
