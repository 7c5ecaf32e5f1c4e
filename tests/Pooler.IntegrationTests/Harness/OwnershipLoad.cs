using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// Many clients that ask for rows which name them, and look at every byte that comes back. Errors that tell of a lost server are
/// part of the game: the client connects again. A row, an error text or a count that belongs to somebody else ends the run.
/// </summary>
internal sealed partial class OwnershipLoad(PoolerProcess pooler, string database, string mode, int clients, int requestsEach, int seed)
{
    private static readonly TimeSpan ReconnectLimit = TimeSpan.FromMinutes(1);

    // PgBouncer before 1.21 lends a server on after the first of several replies, and fails here as it should.
    private static readonly Kind[] Kinds =
        [.. Enum.GetValues<Kind>().Where(static kind => kind != Kind.Pipeline || !PoolerProcess.IsPgBouncer)];

    private int _answered;
    private int _disappeared;
    private int _lost;
    private volatile bool _done;

    private enum Kind
    {
        Simple,
        SeveralStatements,
        Extended,
        Pipeline,
        NamedInOneGo,
        Failing,
        Transaction, // last: statement mode leaves it out
    }

    /// <summary>Requests whose whole reply was seen and was right.</summary>
    public int Answered => Volatile.Read(ref _answered);

    /// <summary>Requests given up by the client at some byte.</summary>
    public int Disappeared => Volatile.Read(ref _disappeared);

    /// <summary>Connections lost by no will of the client.</summary>
    public int Lost => Volatile.Read(ref _lost);

    public int Total => clients * requestsEach;

    public bool Done => _done;

    public async Task RunAsync()
    {
        try
        {
            await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(() => RunClientAsync(client))));
        }
        finally
        {
            _done = true;
        }
    }

    private async Task RunClientAsync(int client)
    {
        var random = new Random(seed * 1000 + client);
        PgWire? wire = null;
        try
        {
            for (int request = 0; request < requestsEach; request++)
            {
                wire ??= await ConnectAsync();
                string token = $"c{client}q{request}r{random.Next():x8}";
                Kind kind = Kinds[random.Next(Kinds.Length - (mode == "statement" ? 1 : 0))];
                bool disappear = random.Next(100) < 6;
                bool kept = disappear ? await DisappearAsync(wire, kind, token, random) : await AskAsync(wire, kind, token, random);
                if (!kept)
                {
                    wire.Dispose();
                    wire = null;
                }
            }
        }
        finally
        {
            wire?.Dispose();
        }
    }

    private async Task<PgWire> ConnectAsync()
    {
        long start = Environment.TickCount64;
        while (true)
        {
            PgWire? wire = null;
            try
            {
                wire = await PgWire.ConnectAsync(pooler.EndPoint);
                await wire.LoginAsync(database, PostgresCluster.User);
                return wire;
            }
            catch (Exception fault) when (fault is EndOfStreamException or SocketException)
            {
                // The servers may be restarting; the pooler says so and closes.
                wire?.Dispose();
                if (Environment.TickCount64 - start > ReconnectLimit.TotalMilliseconds)
                    throw new TimeoutException($"no login within {ReconnectLimit.TotalSeconds:0} s; last: {fault.Message}", fault);
                await Task.Delay(20);
            }
        }
    }

    /// <summary>Sends the request, or a part of it, reads some of the reply or none, and goes.</summary>
    private async Task<bool> DisappearAsync(PgWire wire, Kind kind, string token, Random random)
    {
        Interlocked.Increment(ref _disappeared);
        (PgRequest request, _) = Build(kind, token, random);
        byte[] bytes = request.ToArray();
        bool whole = random.Next(3) == 0;
        try
        {
            await wire.SendAsync(bytes.AsMemory(0, whole ? bytes.Length : random.Next(1, bytes.Length)));
            if (whole && random.Next(2) == 0)
                await wire.ReadHeaderAsync();
        }
        catch (SocketException)
        {
            // It was lost before it could leave.
        }

        return false;
    }

    private async Task<bool> AskAsync(PgWire wire, Kind kind, string token, Random random)
    {
        try
        {
            if (kind == Kind.Transaction)
            {
                (PgRequest inner, List<Expectation> rows) = Build(Kind.Simple, token, random);
                return await RoundTripAsync(wire, new PgRequest().Query("BEGIN"), [Expectation.Nothing], token)
                    && await RoundTripAsync(wire, inner, rows, token)
                    && await RoundTripAsync(wire, new PgRequest().Query(random.Next(2) == 0 ? "COMMIT" : "ROLLBACK"), [Expectation.Nothing], token)
                    && CountAnswer();
            }

            (PgRequest request, List<Expectation> expected) = Build(kind, token, random);
            return await RoundTripAsync(wire, request, expected, token) && CountAnswer();
        }
        catch (SocketException)
        {
            Interlocked.Increment(ref _lost);
            return false;
        }
    }

    private bool CountAnswer()
    {
        Interlocked.Increment(ref _answered);
        return true;
    }

    /// <summary>False when the connection was lost; throws when what came is not ours.</summary>
    private async Task<bool> RoundTripAsync(PgWire wire, PgRequest request, List<Expectation> expected, string token)
    {
        await wire.SendAsync(request);
        foreach (Expectation expectation in expected)
        {
            if (!await expectation.ReadAsync(wire, token))
            {
                Interlocked.Increment(ref _lost);
                return false;
            }
        }

        return true;
    }

    /// <summary>The bytes of a request, and what must come back up to each ReadyForQuery.</summary>
    private static (PgRequest Request, List<Expectation> Expected) Build(Kind kind, string token, Random random)
    {
        var request = new PgRequest();
        var expected = new List<Expectation>();
        switch (kind)
        {
            case Kind.Simple or Kind.Transaction:
                Statement one = Statement.Next(token, random);
                request.Query(one.Text);
                expected.Add(new Expectation([one]));
                break;
            case Kind.SeveralStatements:
                Statement[] several = [Statement.Next(token + "a", random), Statement.Next(token + "b", random), Statement.Next(token + "c", random)];
                request.Query(string.Join("; ", several.Select(static statement => statement.Text)));
                expected.Add(new Expectation(several));
                break;
            case Kind.Extended:
                Statement bound = Statement.Next(token, random);
                request.Parse("", Statement.Parameters).Bind("", "", bound.Values).Describe('P', "").Execute().Sync();
                expected.Add(new Expectation([bound]));
                break;
            case Kind.NamedInOneGo:
                // Statements and portals with names, made, used and closed before the Sync, so that every pool mode can carry them.
                Statement named = Statement.Next(token, random);
                request.Parse("s_" + token, Statement.Parameters).Bind("p_" + token, "s_" + token, named.Values).Execute("p_" + token, 1)
                    .Execute("p_" + token).Close('P', "p_" + token).Close('S', "s_" + token).Sync();
                expected.Add(new Expectation([named]));
                break;
            case Kind.Pipeline:
                for (int i = 0; i < 3; i++)
                {
                    Statement next = Statement.Next($"{token}p{i}", random);
                    request.Parse("", Statement.Parameters).Bind("", "", next.Values).Execute().Sync();
                    expected.Add(new Expectation([next]));
                }

                break;
            case Kind.Failing:
                request.Query($"SELECT '{token}'::int");
                expected.Add(new Expectation([], token));
                break;
        }

        return (request, expected);
    }

    private sealed record Statement(string Token, char Filling, int Size, int Rows)
    {
        public const string Parameters = "SELECT $1::text, repeat($2::text, $3::int), g FROM generate_series(1, $4::int) g";

        public string Text => $"SELECT '{Token}', repeat('{Filling}', {Size}), g FROM generate_series(1, {Rows}) g";

        public string[] Values => [Token, $"{Filling}", $"{Size}", $"{Rows}"];

        public static Statement Next(string token, Random random)
        {
            int size = random.Next(20) switch
            {
                0 => random.Next(200_000),
                < 6 => random.Next(9_000),
                _ => random.Next(100),
            };
            return new Statement(token, (char)('a' + random.Next(26)), size, random.Next(0, 6));
        }

        public void Check(int row, string?[] values)
        {
            if (values.Length != 3 || values[0] != Token || values[2] != $"{row + 1}" || values[1] is not { } filling
                || filling.Length != Size || filling.AsSpan().ContainsAnyExcept(Filling))
            {
                throw new ForeignDataException($"{Token} (row {row}, {Size} times '{Filling}') got {values[0]}, {values[1]?.Length} times '{values[1]?[..1]}', row {values[2]}");
            }
        }
    }

    private sealed record Expectation(Statement[] Statements, string? FailsWith = null)
    {
        public static readonly Expectation Nothing = new([]);

        public async Task<bool> ReadAsync(PgWire wire, string token)
        {
            int statement = 0, row = 0;
            bool failed = false;
            while (await wire.ReadAsync() is { } message)
            {
                switch (message.Type)
                {
                    case 'D':
                        while (statement < Statements.Length && row == Statements[statement].Rows)
                            (statement, row) = (statement + 1, 0);
                        if (statement == Statements.Length)
                            throw new ForeignDataException($"{token} got a row too many: {message.Values()[0]}");
                        Statements[statement].Check(row++, message.Values());
                        break;
                    case 'E':
                        string text = message.Fields()['M'];
                        if (AnyToken().Matches(text).Any(match => match.Value != token))
                            throw new ForeignDataException($"{token} got the error of another: {text}");
                        if (FailsWith is not null && text.Contains(FailsWith, StringComparison.Ordinal))
                        {
                            failed = true;
                            break;
                        }

                        if (!TellsOfALostServer(message))
                            throw new ForeignDataException($"{token} got an error nobody caused: {message}");
                        return false;
                    case 'Z':
                        while (statement < Statements.Length && row == Statements[statement].Rows)
                            (statement, row) = (statement + 1, 0);
                        if (statement < Statements.Length)
                            throw new ForeignDataException($"{token} ended at row {row} of {Statements[statement].Rows} of statement {statement}");
                        if (failed != FailsWith is not null)
                            throw new ForeignDataException($"{token} should have failed");
                        return true;
                    case 'A':
                        throw new ForeignDataException($"{token} got a notification");
                }
            }

            return false;
        }

        private static bool TellsOfALostServer(PgMessage message)
        {
            string state = message.SqlState;
            return message.Fields()['S'] is "FATAL" or "PANIC" || state.StartsWith("57", StringComparison.Ordinal) || state.StartsWith("08", StringComparison.Ordinal);
        }
    }

    [GeneratedRegex("c[0-9]+q[0-9]+r[0-9a-f]{8}")]
    private static partial Regex AnyToken();
}
