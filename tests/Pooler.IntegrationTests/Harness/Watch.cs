namespace Pooler.IntegrationTests.Harness;

/// <summary>What tests look at from outside: which server a client has, who waits, what runs.</summary>
internal static class Watch
{
    /// <summary>The process id of the server that answers this client.</summary>
    public static async Task<int> ServerAsync(this PgWire wire)
    {
        PgReply reply = await wire.QueryAsync("SELECT pg_backend_pid()");
        Assert.True(reply.Error is null, $"no server: {reply}");
        return int.Parse(reply.Scalar!);
    }

    /// <summary>Sends a query without reading its reply, and returns when the pooler has put the client into the queue.</summary>
    public static async Task SendAndWaitInQueueAsync(this PoolerProcess pooler, PgWire wire, string sql, int waiting = 1, string? database = null)
    {
        await wire.SendAsync(new PgRequest().Query(sql));
        await pooler.WaitersAreAsync(waiting, database);
    }

    /// <summary>Returns when so many clients wait for a server, of all databases or of one.</summary>
    public static Task WaitersAreAsync(this PoolerProcess pooler, int count, string? database = null) =>
        Eventually.EqualsAsync("clients waiting", count, async () => (await pooler.ConsoleAsync("SHOW POOLS"))
            .Where(row => database is null || row["database"] == database).Sum(static row => int.Parse(row["cl_waiting"]!)));

    /// <summary>Returns when so many more queries of a database have been answered.</summary>
    public static async Task RequestsPassAsync(this PoolerProcess pooler, string database, int count)
    {
        async Task<long> CountAsync() =>
            (await pooler.ConsoleAsync("SHOW STATS")).Where(row => row["database"] == database).Sum(static row => long.Parse(row["total_query_count"]!));

        long start = await CountAsync();
        await Eventually.BecomesAsync("queries pass", CountAsync, now => now >= start + count);
    }

    /// <summary>Returns the server process that runs a query with this text in it, as soon as there is one.</summary>
    public static async Task<int> RunsAsync(this PostgresCluster postgres, string database, string text) =>
        await Eventually.BecomesAsync($"a query with '{text}' runs", () => postgres.ScalarAsync<int>(PostgresCluster.Superuser,
            $"SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%{text}%'"), static pid => pid != 0);

    /// <summary>The server processes of a database, in order.</summary>
    public static Task<int[]> ServersAsync(this PostgresCluster postgres, string database) =>
        postgres.ScalarAsync<int[]>(PostgresCluster.Superuser,
            $$"""
            SELECT coalesce(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
            WHERE datname = '{{database}}' AND backend_type = 'client backend' AND application_name <> '{{PostgresCluster.OwnName}}'
            """);

    /// <summary>The FATAL error a client is closed with; it must be the last thing it hears.</summary>
    public static async Task<PgMessage> ReadFatalAsync(this PgWire wire)
    {
        List<PgMessage> messages = await wire.ReadToEndAsync();
        Assert.True(messages.Count > 0, "closed without a word");
        Assert.True(messages[^1].Type == 'E', $"closed after: {new PgReply(messages)}");
        Assert.Equal("FATAL", messages[^1].Fields()['S']);
        return messages[^1];
    }

    /// <summary>The log is written behind the events: waits for a line with this text.</summary>
    public static Task SeesInLogAsync(this PoolerProcess pooler, string text) =>
        Eventually.BecomesAsync($"the log says {text}", () => Task.FromResult(pooler.Log), _ => pooler.LogLines.Any(line => line.Contains(text, StringComparison.Ordinal)));

    /// <summary>The text of the FATAL error a client is closed with, and its SQLSTATE.</summary>
    public static async Task AssertFatalAsync(this PgWire wire, string text, string sqlState = "08P01")
    {
        PgMessage error = await wire.ReadFatalAsync();
        Assert.Equal((text, sqlState), (error.Fields()['M'], error.SqlState));
    }

    /// <summary>Sends a startup packet of any kind and returns everything up to ReadyForQuery or the end.</summary>
    public static async Task<PgReply> StartAsync(this PgWire wire, params (string Name, string Value)[] parameters)
    {
        await wire.SendAsync(PgRequest.Startup(parameters));
        var messages = new List<PgMessage>();
        while (await wire.ReadAsync() is { } message)
        {
            messages.Add(message);
            if (message.Type == 'Z')
                break;
        }

        return new PgReply(messages);
    }
}
