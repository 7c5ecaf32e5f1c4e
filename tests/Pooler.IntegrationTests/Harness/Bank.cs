using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using Npgsql;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// Clients that move money between accounts, each transfer with an id of its own, and note what they were told of it: by transactions
/// of several statements, by one statement, and by one prepared. Afterwards the books tell what is true.
/// </summary>
internal sealed class Bank(PoolerProcess pooler, string database, int clients)
{
    private const int Accounts = 1000;

    private readonly ConcurrentDictionary<long, Outcome> _outcomes = [];
    private readonly ConcurrentDictionary<string, int> _errors = [];
    private readonly ConcurrentQueue<long> _acknowledgedAt = [];
    private long _lastId, _longestPause;
    private volatile bool _isOver;
    private Task _running = Task.CompletedTask;

    private enum Outcome
    {
        Acknowledged,
        Failed,
        Unknown,
    }

    private enum Manner
    {
        Block,
        Alone,
        Prepared,
    }

    public static string Schema =>
        $"CREATE TABLE account AS SELECT id, 0::bigint AS balance FROM generate_series(1, {Accounts}) id; ALTER TABLE account ADD PRIMARY KEY (id); "
        + "CREATE TABLE transfer (id bigint NOT NULL, source int NOT NULL, target int NOT NULL, amount bigint NOT NULL)";

    public int Acknowledged => _acknowledgedAt.Count;

    /// <summary>What clients were told, by SQLSTATE; "lost" is a connection that ended without a word.</summary>
    public IReadOnlyDictionary<string, int> Errors => _errors;

    /// <summary>The longest a client waited from one acknowledged transfer to its next.</summary>
    public TimeSpan LongestPause => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _longestPause));

    public void Start() => _running = Task.WhenAll(Enumerable.Range(0, clients).Select(n => Task.Run(() => ServeAsync(new Random(n)))));

    /// <summary>No new transfers; those under way come to their end.</summary>
    public async Task StopAsync()
    {
        _isOver = true;
        await _running;
    }

    /// <summary>The first acknowledgement behind a moment of <see cref="Stopwatch"/>.</summary>
    public async Task<long> NextAcknowledgedAsync(long moment) =>
        (await Eventually.BecomesAsync<long?>("a transfer is acknowledged", () => Task.FromResult(_acknowledgedAt.Where(at => at > moment).Select(static at => (long?)at).Min()),
            static at => at != null))!.Value;

    /// <summary>Waits for so many more transfers.</summary>
    public async Task GoOnAsync(int more)
    {
        int goal = Acknowledged + more;
        await Eventually.BecomesAsync($"{more} more transfers", () => Task.FromResult(Acknowledged), now => now >= goal);
    }

    /// <summary>The ids of the transfers a host has.</summary>
    public static async Task<List<long>> IdsAsync(PostgresHost host)
    {
        await using NpgsqlConnection connection = await host.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT id FROM transfer", connection);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        List<long> ids = [];
        while (await reader.ReadAsync())
            ids.Add(reader.GetInt64(0));
        return ids;
    }

    /// <summary>Holds the books of the last primary against what clients were told. The result is what was acknowledged and is not there.</summary>
    public async Task<HashSet<long>> AuditAsync(PostgresHost primary, ITestOutputHelper output)
    {
        List<long> ids = await IdsAsync(primary);
        HashSet<long> there = [.. ids];
        Assert.Equal(there.Count, ids.Count); // None was done twice.
        Assert.Equal(0L, await primary.ScalarAsync<long>(
            "SELECT count(*) FROM account a WHERE balance <> coalesce((SELECT sum(amount) FROM transfer WHERE target = a.id), 0) - coalesce((SELECT sum(amount) FROM transfer WHERE source = a.id), 0)"));
        Assert.Equal("0", await primary.ScalarAsync<string>("SELECT sum(balance)::text FROM account"));
        Assert.DoesNotContain(Of(Outcome.Failed), there.Contains); // None that was reported failed.
        Assert.DoesNotContain(there, id => !_outcomes.ContainsKey(id));
        HashSet<long> missing = [.. Of(Outcome.Acknowledged).Where(id => !there.Contains(id))];
        int unknown = Of(Outcome.Unknown).Count();
        output.WriteLine($"{Acknowledged} transfers acknowledged, {missing.Count} of them lost; {Of(Outcome.Failed).Count()} failed; {unknown} unknown, {Of(Outcome.Unknown).Count(there.Contains)} of them done");
        output.WriteLine($"longest pause of a client {LongestPause.TotalMilliseconds:0} ms; errors: {string.Join(", ", Errors.OrderBy(static e => e.Key).Select(static e => $"{e.Key} {e.Value}x"))}");
        return missing;
    }

    private IEnumerable<long> Of(Outcome outcome) => _outcomes.Where(pair => pair.Value == outcome).Select(static pair => pair.Key);

    private async Task ServeAsync(Random random)
    {
        long last = Stopwatch.GetTimestamp();
        while (!_isOver)
        {
            try
            {
                using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
                await wire.SendAsync(PgRequest.Startup(PgRequest.Protocol30, [("user", PostgresCluster.User), ("database", database)]));
                if (await ReadAsync(wire) is not null || await RunAsync(wire, new PgRequest().Parse("move", Move("$1", "$2", "$3", "$4")).Sync()) is not null)
                    continue;
                while (!_isOver && await TransferAsync(wire, random))
                {
                    long now = Stopwatch.GetTimestamp();
                    _acknowledgedAt.Enqueue(now);
                    InterlockedMax(ref _longestPause, now - last);
                    last = now;
                }
            }
            catch (Exception fault) when (fault is SocketException or IOException)
            {
                Count("lost");
            }
        }
    }

    /// <summary>One transfer; true when it was acknowledged, and the connection is good for more.</summary>
    private async Task<bool> TransferAsync(PgWire wire, Random random)
    {
        long id = Interlocked.Increment(ref _lastId);
        int source = random.Next(1, Accounts), target = random.Next(source + 1, Accounts + 1), amount = random.Next(-100, 101);
        Manner manner = (Manner)random.Next(3);
        _outcomes[id] = Outcome.Unknown; // Until its client has heard of it.
        string? error = null;
        bool mayBeDone = manner != Manner.Block;
        if (manner == Manner.Block)
        {
            string[] texts =
            [
                "BEGIN", $"UPDATE account SET balance = balance - {amount} WHERE id = {source}",
                $"UPDATE account SET balance = balance + {amount} WHERE id = {target}", $"INSERT INTO transfer VALUES ({id}, {source}, {target}, {amount})",
            ];
            for (int i = 0; i < texts.Length && error is null; i++)
                error = await RunAsync(wire, new PgRequest().Query(texts[i]));
            mayBeDone = error is null;
            error ??= await RunAsync(wire, new PgRequest().Query("COMMIT"), "COMMIT");
        }
        else
        {
            error = await RunAsync(wire, manner == Manner.Alone
                ? new PgRequest().Query(Move($"{id}", $"{source}", $"{target}", $"{amount}"))
                : new PgRequest().Bind("", "move", [$"{id}", $"{source}", $"{target}", $"{amount}"]).Execute().Sync());
        }

        bool isUnknown = error == "08007" || (error == "lost" && mayBeDone);
        _outcomes[id] = error is null ? Outcome.Acknowledged : isUnknown ? Outcome.Unknown : Outcome.Failed;
        return error is null;
    }

    // The lower account is locked first, as in a block: PostgreSQL runs such a WITH from its end.
    private static string Move(string id, string source, string target, string amount) =>
        $"WITH given AS (UPDATE account SET balance = balance + {amount}::bigint WHERE id = {target}::int), taken AS (UPDATE account SET balance = balance - {amount}::bigint WHERE id = {source}::int) "
        + $"INSERT INTO transfer VALUES ({id}::bigint, {source}::int, {target}::int, {amount}::bigint)";

    private async Task<string?> RunAsync(PgWire wire, PgRequest request, string? tag = null)
    {
        try
        {
            await wire.SendAsync(request);
            return await ReadAsync(wire, tag);
        }
        catch (Exception fault) when (fault is SocketException or IOException)
        {
            return Count("lost");
        }
    }

    /// <summary>Null when all was well, else the SQLSTATE.</summary>
    private async Task<string?> ReadAsync(PgWire wire, string? tag = null)
    {
        string? error = null;
        while (await wire.ReadAsync() is { } message)
        {
            if (message.Type == 'E')
                error = Count(message.SqlState);
            if (message.Type == 'C' && tag is not null && message.Text() != tag)
                error = Count(message.Text());
            if (message.Type == 'Z')
                return error;
        }

        return error ?? Count("lost");
    }

    private string Count(string error)
    {
        _errors.AddOrUpdate(error, 1, static (_, n) => n + 1);
        return error;
    }

    private static void InterlockedMax(ref long place, long value)
    {
        for (long seen = Interlocked.Read(ref place); value > seen;)
        {
            long before = Interlocked.CompareExchange(ref place, value, seen);
            if (before == seen)
                return;
            seen = before;
        }
    }
}
