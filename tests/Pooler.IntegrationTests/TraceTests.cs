using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Statements as spans of OpenTelemetry, in the client's own trace when it names one.</summary>
public sealed class TraceTests(PostgresCluster postgres)
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c", Span = "b7ad6b7169203331";

    [Fact]
    public Task AStatementIsASpanWithItsWaits() => WithAsync("1", async (pooler, database, receiver) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        await second.SendAsync(new PgRequest().Query("SELECT 'secret', pg_sleep(0.05)").ToArray());
        await Eventually.BecomesAsync("it waits", async () => (await pooler.PoolCountsAsync(database)).ClientsWaiting, static waiting => waiting == 1);
        await first.QueryAsync("SELECT pg_sleep(0.1) AS held");
        await first.QueryAsync("COMMIT");
        await second.ReadReplyAsync();
        await second.QueryAsync("SELECT 1 / 0");

        (OtlpSpan span, OtlpSpan[] waits) = await receiver.StatementAsync("SELECT ?, pg_sleep(?)");
        Assert.Equal(($"SELECT {database}", 3, "", false), (span.Name, span.Kind, span.Parent, span.IsError));
        Assert.Equal(
            [("db.namespace", database), ("db.operation.name", "SELECT"), ("db.query.text", "SELECT ?, pg_sleep(?)"), ("db.response.returned_rows", "1"), ("db.system.name", "postgresql"), ("server.address", "127.0.0.1"), ("server.port", $"{postgres.Port}")],
            span.Tags.OrderBy(static tag => tag.Key, StringComparer.Ordinal).Select(static tag => (tag.Key, tag.Value)));
        Assert.Equal(("pooler", true), (span.Resource["service.name"], span.Resource.ContainsKey("service.version")));
        Assert.Equal(["pooler.queue", "pooler.server"], waits.Select(static wait => wait.Name).Except(["pooler.transfer"]));
        Assert.All(waits, wait => Assert.Equal((span.Trace, 1), (wait.Trace, wait.Kind)));
        Assert.Equal((span.Start, span.End), (waits[0].Start, waits[^1].End));
        Assert.All(waits.Zip(waits[1..]), static pair => Assert.InRange(Math.Abs((long)pair.Second.Start - (long)pair.First.End), 0, 1000));
        Assert.InRange(waits[0].Milliseconds, 100, 20_000);
        Assert.InRange(waits[1].Milliseconds, 50, 20_000);
        Assert.InRange(span.Milliseconds, 150, 40_000);

        (OtlpSpan failed, _) = await receiver.StatementAsync("SELECT ? / ?");
        Assert.Equal((true, "22012", "22012"), (failed.IsError, failed.Tags["db.response.status_code"], failed.Tags["error.type"]));
        Assert.NotEqual(span.Trace, failed.Trace);
        (OtlpSpan begin, OtlpSpan[] begun) = await receiver.StatementAsync("BEGIN");
        (_, OtlpSpan[] held) = await receiver.StatementAsync("SELECT pg_sleep(?) AS held");
        Assert.DoesNotContain(held, static wait => wait.Name is "pooler.queue" or "pooler.connect" or "pooler.sync");
        Assert.Equal($"BEGIN {database}", begin.Name);
        Assert.DoesNotContain(begun, static wait => wait.Name == "pooler.queue");
    });

    [Fact]
    public Task OpeningAndPreparingAServerAreWaitsToo() => WithAsync("1", async (pooler, database, receiver) =>
    {
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        await client.LoginAsync(database, PostgresCluster.User, ("search_path", "pg_catalog"));
        await pooler.CommandAsync($"RECONNECT {database}");
        await client.QueryAsync("SELECT 1 AS anew");
        (_, OtlpSpan[] waits) = await receiver.StatementAsync("SELECT ? AS anew");
        Assert.Equal(["pooler.connect", "pooler.sync", "pooler.server"], waits.Select(static wait => wait.Name).Except(["pooler.queue", "pooler.transfer"]));
        Assert.InRange(waits[0].Milliseconds, 0.1, 20_000);
    });

    /// <summary>In a comment, as sqlcommenter writes it; its flag decides, whatever the ratio says.</summary>
    [Theory]
    [InlineData("1", "00", false)]
    [InlineData("0.000000001", "01", true)]
    public Task TheClientsTraceGoesOn(string ratio, string flags, bool isTraced) => WithAsync(ratio, async (pooler, database, receiver) =>
    {
        string comment = $"/*application='shop',traceparent='00-{Trace}-{Span}-{flags}'*/";
        Assert.Equal("1", (await CommandLine.PsqlAsync(pooler.LibpqString(database), $"SELECT 1 AS psql {comment}")).Output);
        await using (var connection = new NpgsqlConnection(pooler.NpgsqlString(database)))
        {
            await connection.OpenAsync();
            await using var command = new NpgsqlCommand($"SELECT $1::int AS npgsql {comment}", connection) { Parameters = { new() { Value = 1 } } };
            await command.ExecuteNonQueryAsync();
            await using var prepared = new NpgsqlCommand($"SELECT $1::int AS prepared {comment}", connection) { Parameters = { new() { Value = 1 } } };
            await prepared.PrepareAsync();
            await prepared.ExecuteNonQueryAsync();
        }

        using PgWire last = await pooler.LoginAsync(database);
        await last.QueryAsync($"SELECT 1 AS last /*traceparent='00-{Trace}-{Span}-01'*/");
        await receiver.StatementAsync("SELECT ? AS last");
        foreach (string seen in (string[])["SELECT ? AS psql", "SELECT $1::int AS npgsql", "SELECT $1::int AS prepared"])
        {
            OtlpSpan? span = receiver.Find(seen);
            Assert.Equal(isTraced ? Trace + Span : null, span?.Trace + span?.Parent is { Length: > 0 } found ? found : null);
        }
    });

    /// <summary>Clients of many traces share a prepared statement all the same; the first text goes to the server as it is.</summary>
    [Fact]
    public async Task ATraceIsNoPartOfAStatement()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1);
        for (int i = 0; i < 5; i++)
        {
            using PgWire client = await pooler.LoginAsync(database);
            string text = $"SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() /*traceparent='00-{Trace}-{Span[..^1]}{i}-01'*/";
            await client.SendAsync(new PgRequest().Parse("p", text).Bind("", "p").Execute().Sync().ToArray());
            PgReply reply = await client.ReadReplyAsync();
            Assert.Equal("12DCZ", reply.Types);
            Assert.EndsWith("0-01'*/", reply.Scalar, StringComparison.Ordinal);
        }

        Assert.Equal(("5", "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()  "), await PreparedAsync(pooler));
        Assert.Equal("5", Assert.Single(await pooler.ConsoleAsync("SHOW STATEMENTS"))["calls"]);
        await pooler.CommandAsync($"RECONNECT {database}");

        // A server that Pooler has to give the statement to itself gets what is shared.
        using PgWire other = await pooler.LoginAsync(database);
        await other.SendAsync(new PgRequest().Parse("q", "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() /*traceparent='00-1'*/").Sync().ToArray());
        await other.ReadReplyAsync();
        await pooler.CommandAsync($"RECONNECT {database}");
        await other.SendAsync(new PgRequest().Bind("", "q").Execute().Sync().ToArray());
        Assert.EndsWith("pg_backend_pid()  ", (await other.ReadReplyAsync()).Scalar, StringComparison.Ordinal);
    }

    [Fact]
    public Task ACollectorThatTakesNothingIsTold() => WithAsync("0", async (pooler, database, receiver) =>
    {
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1 AS off");
        receiver.Refuses = true;
        await pooler.CommandAsync("SET trace_sample_ratio = 1");
        await client.QueryAsync("SELECT 1 AS refused");
        await Eventually.BecomesAsync("it is told", () => Task.FromResult(pooler.Log), static log => log.Contains("does not take 2 spans", StringComparison.Ordinal) || log.Contains("does not take 3 spans", StringComparison.Ordinal));
        receiver.Refuses = false;
        await client.QueryAsync("SELECT 1 AS taken");
        await receiver.StatementAsync("SELECT ? AS taken");
        await Eventually.BecomesAsync("it is told", () => Task.FromResult(pooler.Log), static log => log.Contains("takes spans again", StringComparison.Ordinal));
        Assert.Equal("of the house", receiver.Key);
        Assert.Null(receiver.Find("SELECT ? AS off"));
        Assert.DoesNotContain("of the house", pooler.Log + string.Concat((await pooler.ConsoleAsync("SHOW CONFIG")).Select(static row => row["value"])), StringComparison.Ordinal);
    });

    private async Task WithAsync(string ratio, Func<PoolerProcess, string, OtlpReceiver, Task> test)
    {
        using var receiver = new OtlpReceiver();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1, adjust: ini =>
        {
            ini.Settings["otlp_endpoint"] = receiver.Url;
            ini.Settings["otlp_headers"] = "key=of the house";
            ini.Settings["trace_sample_ratio"] = ratio;
        });
        await test(pooler, database, receiver);
    }

    private static async Task<(string?, string?)> PreparedAsync(PoolerProcess pooler)
    {
        Dictionary<string, string?> row = Assert.Single(await pooler.ConsoleAsync("SHOW PREPARED"));
        return (row["uses"], row["text"]);
    }
}
