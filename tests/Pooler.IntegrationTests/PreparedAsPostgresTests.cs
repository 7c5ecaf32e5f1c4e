namespace Pooler.IntegrationTests;

/// <summary>
/// The same messages to PostgreSQL itself, a connection for each client, and through one server that all clients share: the
/// answers must be the same in all that matters. What SQL itself prepares keeps its client on its server ("pinned": there are two).
/// A step is "a: message message …", of client a or b; Parse and Query
/// take their text in braces.
/// </summary>
public sealed class PreparedAsPostgresTests(PostgresCluster postgres)
{
    private const int Programs = 60;

    public static readonly TheoryData<string, string[]> Scripts = new()
    {
        { "prepared once, used often", ["a: P one{select 1} S", "a: B one E S", "a: B one E B one E S", "b: Q {select 2}", "a: D one B one E S"] },
        { "in one batch", ["a: P one{select 1} D one B one E S", "a: B one E S"] },
        { "with parameters", ["a: P one{select $1::int + 1} S", "a: B one(41) E S", "a: B one(x) E S", "a: B one E S", "a: B one(1) E S"] },
        { "the same name for other texts", ["a: P one{select 'a'} S", "b: P one{select 'b'} S", "a: B one E S", "b: B one E S", "a: D one B one E S", "b: D one S"] },
        { "the same text under other names", ["a: P one{select 1} S", "b: P two{select 1} S", "b: B two E S", "a: B one E S", "b: B one E S", "a: B two E S"] },
        { "unknown names", ["a: B one E S", "a: D one S", "b: P one{select 'b'} S", "a: B one E S", "b: B one E S", "a: C one S", "b: B one E S", "a: B pooler_1 E S", "a: D pooler_gone S"] },
        { "double names", ["a: P one{select 1} S", "a: P one{select 1} S", "a: P one{select 2} S", "a: B one E S", "b: P one{select 3} S", "b: P one{select 1} S", "b: B one E S", "a: B one E S"] },
        { "double names in one batch", ["a: P one{select 1} P one{select 2} B one E S", "a: B one E S", "a: P one{select 3} S", "a: B one E S"] },
        { "closed", ["a: P one{select 1} S", "a: C one S", "a: B one E S", "a: P one{select 2} S", "a: B one E S", "a: C one C one C two S", "b: P one{select 1} C one P one{select 2} B one E S", "b: B one E S"] },
        { "an error before Parse", ["a: P {select 1/0} B E P one{select 1} S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "an error behind Parse", ["a: P one{select 1} P {select 1/0} B E B one E S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "an error before Close", ["a: P one{select 1} S", "a: P {select 1/0} B E C one S", "a: B one E S", "a: P {select 1/0} B E C one P one{select 2} S", "a: B one E S"] },
        { "an error in the text", ["a: P one{selec 1} S", "a: B one E S", "a: P one{select 1} S", "b: P one{selec 1} S", "b: B one E S", "a: B one E S"] },
        { "an error before a shared one", ["b: P two{select 2} S", "a: P {select 1/0} B E P one{select 2} S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "in a transaction", ["a: Q {begin}", "a: P one{select 1} S", "a: B one E S", "a: Q {rollback}", "a: B one E S"] },
        { "in a failed transaction", ["a: P one{select 1} P end{rollback} S", "a: Q {begin; select 1/0}", "a: B one E S", "a: P two{select 1} S", "a: P three{rollback} S", "a: B end E S", "a: B one E S", "a: B two E S", "a: B three E S"] },
        { "batches in a row", ["a: P one{select 1} S B one E S P one{select 2} S B one E S C one S B one E S P one{select 3} S B one E S", "a: B one E S"] },
        { "batches in a row behind an error", ["a: P {select 1/0} B E P one{select 1} S B one E S P one{select 2} S B one E S", "a: B one E S"] },
        { "queries in a row", ["a: P one{select 1} S Q {select 2} B one E S Q {deallocate all} B one E S P one{select 3} S B one E S"] },
        { "portals", ["a: P one{select generate_series(1, 3)} S", "a: Q {begin}", "a: B/p one E/p C one E/p S", "a: D/p S", "a: Q {commit}", "a: B one E S"] },
        { "flush", ["a: P one{select 1} H B one H E H D one H S", "b: P one{select 1} H S", "b: B one E H C one H B one S"] },
        { "deallocate", ["a: P one{select 1} S", "b: P one{select 1} S", "a: Q {deallocate one}", "a: B one E S", "b: B one E S", "a: Q {deallocate one}", "b: Q {DEALLOCATE PREPARE \"one\";}", "b: B one E S", "b: P one{select 2} S", "b: B one E S"] },
        { "deallocate in a transaction", ["a: P one{select 1} P two{select 2} S", "a: Q {begin}", "a: Q {deallocate one}", "a: Q {select 1/0}", "a: Q {deallocate two}", "a: Q {rollback}", "a: B one E S", "a: B two E S"] },
        { "deallocate by parse", ["a: P one{select 1} P two{select 2} S", "a: P {deallocate one} B E P {deallocate two} B E S", "a: B one E S", "a: B two E S", "a: P {deallocate one} B E S"] },
        { "deallocate another's", ["a: P one{select 1} S", "b: Q {deallocate one}", "a: B one E S", "b: P {deallocate one} B E S", "a: B one E S"] },
        { "deallocate all", ["a: P one{select 1} S", "b: P one{select 2} P two{select 2} S", "a: Q {deallocate all}", "a: B one E S", "b: B one E S", "b: B two E S", "a: P one{select 3} S", "a: B one E S"] },
        { "discard all", ["a: P one{select 1} S", "a: Q {discard all}", "a: B one E S", "a: P one{select 2} S", "a: B one E S", "a: P {discard all} B E S", "a: B one E S"] },
        { "discard all and more in one", ["a: Q {discard all} P one{select 1} S B one E S", "a: B one E S", "a: Q {discard all} P one{select 2} B one E S", "a: B one E S", "b: P two{select 2} S", "a: Q {discard all} P two{select 2} P one{select 2} B one E S", "a: B two E S", "b: B two E S", "b: Q {discard all} Q {deallocate all} B two E S"] },
        { "deallocate all in a batch", ["a: P one{select 1} S", "a: P {deallocate all} B E P one{select 2} B one E S", "a: B one E S"] },
        { "pinned: sql prepares", ["a: Q {prepare one as select 1}", "b: P one{select 'b'} S", "a: Q {execute one}", "b: B one E S", "a: Q {prepare one as select 2}", "a: B one E S", "a: P two{select 2} B two E S", "a: Q {deallocate one}", "a: Q {execute one}"] },
        { "sql executes what the protocol prepared", ["a: P one{select 'a'} S", "b: P one{select 'b'} S", "a: Q {execute one}", "b: Q {execute one}", "a: Q {execute one; execute one}", "a: P {execute one} B E S", "b: Q {execute two}", "a: B one E S"] },
        { "pinned: sql meets no name of another", ["a: P one{select 'a'} S", "b: Q {execute one}", "b: Q {prepare one as select 'b'}", "b: Q {execute one}", "a: B one E S", "b: Q {discard all}", "b: Q {execute one}"] },
        { "pinned: a prepared statement of a statement", ["a: P one{select 1} P run{execute one} S", "a: B run E S", "a: B one E S", "b: B run E S", "a: B run E S"] },
        { "long names", ["a: P " + new string('n', 63) + "{select 1} S", "b: B " + new string('n', 63) + " E S", "b: B " + new string('n', 80) + " E S", "a: B " + new string('n', 63) + " E S"] },
    };

    [Theory, MemberData(nameof(Scripts))]
    public async Task AnswersAsPostgres(string what, string[] steps)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer closes clients over such names");
        string database = await postgres.CreateDatabaseAsync();
        foreach (string limit in (string[])["200", "1"])
        {
            await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: what.StartsWith("pinned", StringComparison.Ordinal) ? 2 : 1,
                adjust: ini => ini.Settings["max_prepared_statements"] = limit);
            using PgWire a = await pooler.LoginAsync(database), b = await pooler.LoginAsync(database);
            using PgWire ownA = await DirectAsync(database), ownB = await DirectAsync(database);
            foreach (string step in steps)
            {
                (PgRequest request, int replies) = Read(step[2..]);
                string wanted = await RunAsync(step[0] == 'a' ? ownA : ownB, request, replies);
                string got = await RunAsync(step[0] == 'a' ? a : b, request, replies);
                Assert.True(wanted == got, $"{limit} statements, {step}\nPostgreSQL: {wanted}\nPooler:     {got}\n{pooler.Log}");
            }
        }
    }

    /// <summary>Programs by chance; only a transaction keeps a client at its turn.</summary>
    [Theory]
    [InlineData("200", 1)]
    [InlineData("2", 2)]
    [InlineData("1", 3)]
    public async Task AnyProgramIsAnsweredAsByPostgres(string limit, int seed)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer closes clients over such names");
        var random = new Random(seed);
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini => ini.Settings["max_prepared_statements"] = limit);
        for (int program = 0; program < Programs; program++)
        {
            using PgWire a = await pooler.LoginAsync(database), b = await pooler.LoginAsync(database);
            using PgWire ownA = await DirectAsync(database), ownB = await DirectAsync(database);
            List<string> steps = [];
            bool isA = true, wasFailed = false;
            for (int i = 0; i < 14; i++)
            {
                string step = AnyStep(random);
                steps.Add((isA ? "a: " : "b: ") + step);
                (PgRequest request, int replies) = Read(step);
                string wanted = WithoutFailed(await RunAsync(isA ? ownA : ownB, request, replies), wasFailed);
                string got = WithoutFailed(await RunAsync(isA ? a : b, request, replies), wasFailed);
                wasFailed = wanted.EndsWith("Z(E)", StringComparison.Ordinal);
                Assert.True(wanted == got, $"program {program}\n{string.Join('\n', steps)}\nPostgreSQL: {wanted}\nPooler:     {got}\n{pooler.Log}");
                isA = wanted.EndsWith("Z(I)", StringComparison.Ordinal) ? random.Next(2) == 0 : isA;
            }
        }
    }

    /// <summary>
    /// In a failed transaction nothing can be prepared: a statement that is not on the server is an error there, where
    /// PostgreSQL itself would name another or describe it. Only how each batch ends is compared.
    /// </summary>
    private static string WithoutFailed(string told, bool wasFailed)
    {
        string[] replies = told.Split("Z(");
        for (int i = 0; i < replies.Length - 1; i++)
        {
            string end = i == 0 ? "" : replies[i][..2];
            replies[i] = wasFailed ? end : replies[i];
            wasFailed = replies[i + 1].StartsWith('E');
        }

        return string.Join("Z(", replies);
    }

    private static string AnyStep(Random random)
    {
        string[] names = ["one", "two", "three"];
        string[] texts = ["select 1", "select 2", "select 'a'", "select", "selec", "select 1/0", "begin", "commit", "rollback"];
        string[] queries = ["select 1", "select 1/0", "begin", "commit", "rollback", "deallocate one", "deallocate \"two\"", "deallocate all", "discard all", "execute one"];
        string Name() => names[random.Next(names.Length)];
        var step = new System.Text.StringBuilder();
        int batches = random.Next(1, 4);
        for (int batch = 0; batch < batches; batch++)
        {
            if (random.Next(5) == 0)
            {
                step.Append($"Q {{{queries[random.Next(queries.Length)]}}} ");
                continue;
            }

            for (int i = random.Next(1, 6); i > 0; i--)
            {
                step.Append(random.Next(9) switch
                {
                    0 or 1 => $"P {Name()}{{{texts[random.Next(texts.Length)]}}} ",
                    2 => $"P {Name()}{{select {random.Next(4)}}} ",
                    3 => $"P {{{texts[random.Next(texts.Length)]}}} B E ",
                    4 => $"D {Name()} ",
                    5 => $"C {Name()} ",
                    6 when random.Next(4) == 0 => $"P {{{queries[random.Next(queries.Length)]}}} B E ",
                    _ => $"B {Name()} E ",
                });
            }

            step.Append("S ");
        }

        return step.ToString();
    }

    private async Task<PgWire> DirectAsync(string database)
    {
        PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await wire.LoginAsync(database, PostgresCluster.User);
        return wire;
    }

    private static async Task<string> RunAsync(PgWire wire, PgRequest request, int replies)
    {
        await wire.SendAsync(request);
        var told = new List<string>();
        try
        {
            for (int i = 0; i < replies; i++)
                told.AddRange((await wire.ReadReplyAsync()).Messages.Select(Tell));
        }
        catch (Exception fault) when (fault is TimeoutException or EndOfStreamException)
        {
            told.Add(fault.Message);
        }

        return string.Join(' ', told);
    }

    private static string Tell(PgMessage message) => message.Type switch
    {
        'E' => $"E({message.SqlState} {message.Fields()['M']})",
        'D' => $"D({string.Join(',', message.Values())})",
        'C' => $"C({message.Text()})",
        'Z' => $"Z({(char)message.Body[0]})",
        _ => message.Type.ToString(),
    };

    private static (PgRequest Request, int Replies) Read(string text)
    {
        var request = new PgRequest();
        int replies = 0;
        text = text.Trim();
        while (text.Length > 0)
        {
            char type = text[0];
            text = text[1..];
            bool isOfPortal = text.StartsWith("/p", StringComparison.Ordinal);
            text = (isOfPortal ? text[2..] : text).TrimStart(' ');
            string portal = isOfPortal ? "p" : "";
            string name = type is 'P' or 'D' or 'C' || (type == 'B' && text.Length > 0 && char.IsLower(text[0])) ? Take(ref text, static c => char.IsLower(c) || char.IsDigit(c) || c == '_') : "";
            string sql = "";
            if (text.StartsWith('{'))
            {
                sql = text[1..text.IndexOf('}', StringComparison.Ordinal)];
                text = text[(sql.Length + 2)..];
            }

            string[] values = [];
            if (text.StartsWith('('))
            {
                string value = text[1..text.IndexOf(')', StringComparison.Ordinal)];
                text = text[(value.Length + 2)..];
                values = [value];
            }

            _ = type switch
            {
                'P' => request.Parse(name, sql),
                'B' => request.Bind(portal, name, values),
                'D' => isOfPortal ? request.Describe('P', portal) : request.Describe('S', name),
                'C' => request.Close('S', name),
                'E' => request.Execute(portal, isOfPortal ? 2 : 0),
                'H' => request.Flush(),
                'S' => request.Sync(),
                'Q' => request.Query(sql),
                _ => throw new FormatException(text),
            };
            replies += type is 'S' or 'Q' ? 1 : 0;
            text = text.TrimStart();
        }

        return (request, replies);
    }

    private static string Take(ref string text, Func<char, bool> isPart)
    {
        string part = string.Concat(text.TakeWhile(isPart));
        text = text[part.Length..];
        return part;
    }
}
