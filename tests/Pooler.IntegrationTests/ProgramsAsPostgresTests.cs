using System.Diagnostics;
using CsCheck;

namespace Pooler.IntegrationTests;

/// <summary>
/// Programs by chance of statements, parameters, prepared names, transactions, savepoints, writes, errors and disconnects: three
/// clients on ONE server are answered, and see settings and tables, as three on connections of their own. A failure is shrunk and
/// tells its seed: CsCheck_Seed in the environment begins with that one.
/// </summary>
public sealed class ProgramsAsPostgresTests(PostgresCluster postgres)
{
    private const int Clients = 3;

    private static readonly TimeSpan TimeToShrink = TimeSpan.FromSeconds(45);

    private const string Look = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('application_name'), "
        + "current_setting('work_mem'), current_setting('search_path'), current_setting('statement_timeout'), current_setting('app.tenant', true), current_user, '2001-02-03'::date, "
        + "(SELECT count(*) FROM public.written)";

    private const string Write = "INSERT INTO public.written VALUES (1)";

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
        "SELECT 1", "SELECT 1/0", "SELECT nothing", "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO b", "RELEASE a", Write, Write,
        "SET TimeZone TO 'Europe/Paris'", "SET LOCAL TimeZone TO 'UTC'", "SET DateStyle TO 'sql, dmy'", "SET DateStyle TO 'ymd'", "SET application_name TO 'set'",
        "SET IntervalStyle TO 'sql_standard'", "SELECT set_config('TimeZone', 'America/New_York', false)", "SELECT set_config('TimeZone', 'UTC', true)",
        "SET TimeZone TO 'nowhere'", "SET TimeZone TO 'UTC'; SELECT 1/0", "SET LOCAL work_mem TO '5MB'", "SELECT set_config('app.tenant', 'local', true)",
        "RESET TimeZone", "RESET DateStyle", "RESET work_mem", "SET TimeZone TO DEFAULT", "RESET ALL", "DISCARD ALL",
        "BEGIN; SET TimeZone TO 'Asia/Tokyo'; COMMIT", "BEGIN; SET LOCAL DateStyle TO 'iso'; SELECT 1/0", Write + "; SELECT 1/0",
        "deallocate one", "deallocate \"two\"", "deallocate all", "execute one", "execute two",
    ];

    // With these a client may keep the server: it discards them before another has its turn.
    private static readonly string[] Pinning =
    [
        "SET work_mem TO '9MB'", "SET search_path TO public", "SET app.tenant TO 'two'", "SELECT set_config('statement_timeout', '2min', false)", $"SET ROLE {PostgresCluster.User}",
        "LISTEN news", "CREATE TEMP TABLE mine (a int)", "SELECT count(*) FROM mine", "SELECT pg_advisory_lock(1)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH c",
        "UNLISTEN *", "DROP TABLE mine", "SELECT pg_advisory_unlock(1)", "CLOSE c", "RESET work_mem", "PREPARE two AS SELECT 'sql'", "PREPARE three AS SELECT nothing",
    ];

    private static readonly string[] Texts =
    [
        "select 1", "select 2", "select 'a'", "select", "selec", "select 1/0", "select $1::int + 1", "begin", "commit", "rollback", Write,
        "SELECT current_setting('TimeZone'), '2001-02-03'::date::text",
    ];

    private static readonly Gen<string> Name = OneOf(["one", "two", "three"]);

    /// <summary>
    /// With <paramref name="startups"/> clients have startup parameters, and what goes back to those comes alone: in the midst of a
    /// pipeline what follows still sees the defaults of the server.
    /// </summary>
    private static Gen<AnyProgram> Programs(bool pins, bool startups)
    {
        string[] piped = [.. Queries.Where(text => !startups || !GoesBack(text))];
        Gen<string> message = Gen.Frequency(
            // A transaction command that EXECUTE runs is the end of a connection to PostgreSQL.
            (3, Gen.Select(Name, OneOf(Texts), static (name, text) => $"P {(text is "begin" or "commit" or "rollback" ? "three" : name)}{{{text}}}")),
            (1, OneOf(Texts).Select(static text => $"P {{{text}}} B E")),
            (1, OneOf([.. piped.Where(IsOne)]).Select(static text => $"P {{{text}}} B E")),
            (1, Name.Select(static name => $"D {name}")),
            (1, Name.Select(static name => $"C {name}")),
            (4, Name.Select(static name => $"B {name} E")),
            (1, Gen.Select(Name, OneOf(["41", "x"]), static (name, value) => $"B {name}({value}) E")));
        Gen<string[]> batch = message.Array[1, 5].Select(static messages => (string[])[.. messages, "S"]);
        Gen<string[]> pipeline = Gen.Frequency((1, Query(piped)), (3, batch)).Array[2, 3].Select(static requests => requests.SelectMany(static r => r).ToArray());
        Gen<string[]> alone = OneOf([.. Queries.Where(IsOne)]).Select(static text => (string[])[$"P {{{text}}} B E", "S"]);
        Gen<string[]> messages = Gen.Frequency((4, Query(Queries)), (1, alone), (2, Query(pins ? Pinning : Queries)), (4, batch), (2, pipeline));
        Gen<int> startup = Gen.Int[0, startups ? Startups.Length - 1 : 0];
        Gen<Step> step = Gen.Select(Gen.Int[0, Clients - 1], messages, Gen.Frequency((11, Gen.Const(Leaving.Not)), (1, Gen.Enum<Leaving>())), startup,
            static (client, messages, leaves, startup) => new Step(client, leaves == Leaving.Not ? messages : [], leaves, startup));
        return Gen.Select(startup.Array[Clients], step.Array[1, 24], static (startups, steps) => new AnyProgram(startups, steps));
    }

    private static Gen<string[]> Query(string[] texts) => OneOf(texts).Select(static text => (string[])[$"Q {{{text}}}"]);

    private static Gen<string> OneOf(string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);

    private static bool IsOne(string text) => !text.Contains(';', StringComparison.Ordinal);

    private static bool GoesBack(string text) => text.Contains("reset", StringComparison.OrdinalIgnoreCase)
        || text.Contains("discard", StringComparison.OrdinalIgnoreCase) || text.Contains("default", StringComparison.OrdinalIgnoreCase);

    [Theory]
    [InlineData(false, true, "200")]
    [InlineData(false, false, "1")]
    [InlineData(true, true, "2")]
    public Task AnyProgramIsAnsweredAsByPostgres(bool pins, bool startups, string limit) => SampleAsync(pins, startups, limit, seconds: 4);

    [Theory, Trait("Category", "Long")]
    [InlineData(false, true, "2")]
    [InlineData(false, false, "200")]
    [InlineData(true, true, "200")]
    public Task ManyProgramsAreAnsweredAsByPostgres(bool pins, bool startups, string limit) => SampleAsync(pins, startups, limit, seconds: 18);

    private async Task SampleAsync(bool pins, bool startups, string limit, int seconds)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer loses such settings");
        string database = await postgres.CreateDatabaseAsync(), ownDatabase = await postgres.CreateDatabaseAsync(); // Advisory locks are a database's.
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["ignore_startup_parameters"] = "";
            ini.Settings["max_prepared_statements"] = limit;
        });
        (AnyProgram Program, string Difference)? found = null;
        try
        {
            await Programs(pins, startups).SampleAsync(async program =>
            {
                if (await PlayAsync(program) is { } difference)
                {
                    found = (program, difference);
                    throw new InvalidOperationException("The answers differ.");
                }
            }, time: seconds, threads: 1, print: static program => program.ToString());
        }
        catch (CsCheckException failure) when (found != null)
        {
            (AnyProgram program, string difference) = await ShrinkAsync(found.Value.Program, found.Value.Difference, PlayAsync);
            Assert.Fail($"{failure.Message.Split('\n')[0]}\n{program}\n{difference}\n{string.Join('\n', pooler.LogLines.TakeLast(4 * Clients))}");
        }

        async Task<string?> PlayAsync(AnyProgram program)
        {
            foreach (string name in (string[])[database, ownDatabase])
                await postgres.ExecuteAsync(name, "DROP TABLE IF EXISTS written; CREATE TABLE written (i int); GRANT ALL ON written TO PUBLIC");
            await using var run = new SideBySide(pooler.EndPoint, database, new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port), ownDatabase);
            return await run.DifferenceAsync(program, pins);
        }
    }

    /// <summary>What CsCheck has found by chance, without what is not needed for it.</summary>
    private static async Task<(AnyProgram, string)> ShrinkAsync(AnyProgram program, string difference, Func<AnyProgram, Task<string?>> playAsync)
    {
        long start = Stopwatch.GetTimestamp();
        IEnumerator<AnyProgram> smaller = program.Smaller().GetEnumerator();
        while (smaller.MoveNext() && Stopwatch.GetElapsedTime(start) < TimeToShrink)
        {
            if (await playAsync(smaller.Current) is { } still)
            {
                (program, difference) = (smaller.Current, still);
                smaller = program.Smaller().GetEnumerator();
            }
        }

        return (program, difference);
    }

    private enum Leaving
    {
        Not,
        WhenIdle,

        /// <summary>With a write on its way that is not committed.</summary>
        InABatch,
    }

    /// <summary>With which startup parameters the clients come, and what they do.</summary>
    private sealed record AnyProgram(int[] Logins, Step[] Steps)
    {
        public override string ToString() =>
            string.Concat(Logins.Select(static (startup, client) => $"\n{client}: comes with {Text(startup)}")) + string.Concat(Steps.Select(static step => $"\n{step}"));

        /// <summary>The same without a step, without a message, without startup parameters.</summary>
        public IEnumerable<AnyProgram> Smaller()
        {
            for (int i = Steps.Length - 1; i >= 0; i--)
                yield return this with { Steps = [.. Steps[..i], .. Steps[(i + 1)..]] };
            for (int i = 0; i < Steps.Length; i++)
            {
                foreach (string message in Steps[i].Messages.Where(static m => m != "S").Skip(Steps[i].Messages is [_] ? 1 : 0))
                {
                    string[] messages = [.. Steps[i].Messages];
                    int at = Array.IndexOf(messages, message);
                    yield return this with { Steps = [.. Steps[..i], Steps[i] with { Messages = [.. messages[..at], .. messages[(at + 1)..]] }, .. Steps[(i + 1)..]] };
                }
            }

            for (int i = 0; i < Logins.Length; i++)
            {
                if (Logins[i] != 0)
                    yield return this with { Logins = [.. Logins[..i], 0, .. Logins[(i + 1)..]] };
            }
        }

        public static string Text(int startup) => startup == 0 ? "nothing" : string.Join(' ', Startups[startup]);
    }

    /// <summary>What a client does at its turn; or it leaves, and comes back with other startup parameters.</summary>
    private sealed record Step(int Client, string[] Messages, Leaving Leaves, int Startup)
    {
        public string Script => string.Join(' ', Messages);

        public override string ToString() => Leaves == Leaving.Not ? $"{Client}: {Script}" : $"{Client}: leaves ({Leaves}), comes back with {AnyProgram.Text(Startup)}";
    }

    /// <summary>The clients on either side.</summary>
    private sealed class SideBySide(System.Net.EndPoint pooler, string database, System.Net.EndPoint direct, string ownDatabase) : IAsyncDisposable
    {
        private readonly (PgWire Got, PgWire Wanted)[] _clients = new (PgWire, PgWire)[Clients];
        private string? _difference;
        private bool _isOver;

        /// <summary>Runs a program on both sides, and tells where they part.</summary>
        public async Task<string?> DifferenceAsync(AnyProgram program, bool pins)
        {
            for (int i = 0; i < Clients; i++)
                _clients[i] = await LoginAsync(Startups[program.Logins[i]]);
            int turn = 0;
            char status = 'I';
            foreach (Step step in program.Steps)
            {
                // A transaction keeps the only server.
                if (status == 'I' && step.Client != turn)
                {
                    if (pins)
                        await CompareAsync(turn, "Q {DISCARD ALL}", 'I');
                    turn = step.Client;
                }

                if (step.Leaves != Leaving.Not)
                {
                    await LeaveAsync(turn, step);
                    status = 'I';
                }
                else
                {
                    status = await CompareAsync(turn, step.Script, status);
                }

                if (status != 'E' && _difference == null && !_isOver)
                    await CompareAsync(turn, $"Q {{{Look}}}", status);
                if (_difference != null)
                    return $"{step}{_difference}";
                if (_isOver)
                    break;
            }

            return null;
        }

        public ValueTask DisposeAsync()
        {
            foreach ((PgWire? got, PgWire? wanted) in _clients)
            {
                got?.Dispose();
                wanted?.Dispose();
            }

            return ValueTask.CompletedTask;
        }

        private async Task LeaveAsync(int turn, Step step)
        {
            foreach (PgWire wire in (PgWire[])[_clients[turn].Got, _clients[turn].Wanted])
            {
                if (step.Leaves == Leaving.InABatch)
                    await wire.SendAsync(Script.Read($"P {{{Write}}} B E H").Request);
                wire.Dispose();
            }

            _clients[turn] = await LoginAsync(Startups[step.Startup]);
        }

        private async Task<(PgWire, PgWire)> LoginAsync((string, string)[] startup)
        {
            PgWire got = await PgWire.ConnectAsync(pooler), wanted = await PgWire.ConnectAsync(direct);
            got.ReadLimit = wanted.ReadLimit = TimeSpan.FromSeconds(10);
            await got.LoginAsync(database, PostgresCluster.User, startup);
            await wanted.LoginAsync(ownDatabase, PostgresCluster.User, startup);
            return (got, wanted);
        }

        /// <summary>The status of the transaction in which both are then.</summary>
        private async Task<char> CompareAsync(int client, string script, char status)
        {
            string ends = Script.Read(script).Ends;
            string[] wanted = await Script.RunAsync(_clients[client].Wanted, script), got = await Script.RunAsync(_clients[client].Got, script);
            for (int i = 0; i < ends.Length; i++)
            {
                // In a failed transaction nothing can be prepared: a statement that is not on the server is an error there, where
                // PostgreSQL itself would name another or describe it. Only how a batch ends is compared; if that error has kept it
                // from a ROLLBACK the program is at its end.
                bool isVague = status == 'E' && ends[i] == 'S';
                string wantedReply = i < wanted.Length ? wanted[i] : "nothing", gotReply = i < got.Length ? got[i] : "nothing";
                _isOver |= isVague && wantedReply[^2] != 'E' && gotReply.Contains("E(25P02 ", StringComparison.Ordinal);
                if (_isOver)
                    break;
                if (isVague ? wantedReply[^2] != gotReply[^2] : wantedReply != gotReply)
                    _difference ??= $"\n{script}\nPostgreSQL: {wantedReply}\nPooler:     {gotReply}";
                status = wantedReply[^2];
            }

            return status;
        }
    }
}
