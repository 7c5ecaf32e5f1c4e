using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Pooler.IntegrationTests;

/// <summary>The live page as HTTP: who gets it, under which headers, and the stream behind it.</summary>
public sealed class PageTests(PostgresCluster postgres)
{
    [Fact]
    public async Task OnlyOwnNamesAndOwnPagesGetItAndNothingCanBeDone()
    {
        (PoolerProcess pooler, HttpClient http, _) = await StartAsync();
        await using PoolerProcess own = pooler;
        using HttpClient client = http;
        using HttpResponseMessage page = await http.GetAsync("/");
        Assert.Equal((HttpStatusCode.OK, "text/html; charset=utf-8"), (page.StatusCode, $"{page.Content.Headers.ContentType}"));
        Assert.Equal(("no-store", "nosniff", "DENY"), ($"{page.Headers.CacheControl}", page.Headers.GetValues("X-Content-Type-Options").Single(), page.Headers.GetValues("X-Frame-Options").Single()));
        string policy = page.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; style-src 'sha256-", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.False(page.Headers.Contains("Access-Control-Allow-Origin"));

        foreach (string path in (string[])["/", "/events"])
        {
            Assert.Equal(HttpStatusCode.MisdirectedRequest, await StatusAsync(http, path, ("Host", "stranger.example")));
            Assert.Equal(HttpStatusCode.MisdirectedRequest, await StatusAsync(http, path, ("Host", "stranger.example:80")));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(http, path, ("Host", "localhost:9127")));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(http, path, ("Host", "[::1]")));
            Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync(http, path, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(http, path, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")));
            using HttpResponseMessage posted = await http.PostAsync(path, null);
            Assert.Equal(HttpStatusCode.MethodNotAllowed, posted.StatusCode);
        }

        Assert.Equal(HttpStatusCode.OK, await StatusAsync(http, "/", ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")));
    }

    [Fact]
    public async Task TheStreamTellsTheStateEachSecondAndEndsWithThePage()
    {
        (PoolerProcess pooler, HttpClient http, string database) = await StartAsync();
        await using PoolerProcess own = pooler;
        using HttpClient client = http;
        using PgWire wire = await pooler.LoginAsync(database);
        using StreamReader stream = await ListenAsync(http);
        (string name, JsonElement log) = await EventAsync(stream);
        Assert.Equal("log", name);
        Assert.Contains(log.EnumerateArray(), static line => line.GetProperty("text").GetString()!.StartsWith("process up: ", StringComparison.Ordinal));

        long before = await TransactionsAsync(stream, database);
        for (int i = 0; i < 10; i++)
            await wire.QueryAsync("SELECT 1");
        long after = await Eventually.BecomesAsync("the transactions are counted", () => TransactionsAsync(stream, database), seen => seen >= before + 10);
        Assert.Equal(before + 10, after);

        await pooler.CommandAsync("SET http_page = 0");
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(http, "/"));
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            while (true)
                await EventAsync(stream);
        });

        // The log is kept anew.
        await pooler.CommandAsync("SET http_page = 1");
        using StreamReader again = await ListenAsync(http);
        Assert.Equal("log", (await EventAsync(again)).Name);
        Assert.Equal(after, await TransactionsAsync(again, database));
    }

    [Fact]
    public async Task ListenersAreFewAndWhoDoesNotReadIsLetGo()
    {
        (PoolerProcess pooler, HttpClient http, _) = await StartAsync(static ini =>
        {
            // A state of many rows, which fills the socket's buffers sooner.
            for (int i = 0; i < 200; i++)
                ini.Databases[$"{new string('d', 55)}{i}"] = $"host={new string('h', 200)}";
        });
        await using PoolerProcess own = pooler;
        using HttpClient client = http;
        using var end = new CancellationTokenSource();
        List<Task> readers = [];
        for (int i = 0; i < 15; i++)
        {
            StreamReader stream = await ListenAsync(http);
            readers.Add(ReadAsync(stream, end.Token));
        }

        using var deaf = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4096 };
        await deaf.ConnectAsync(IPAddress.Loopback, http.BaseAddress!.Port);
        await deaf.SendAsync(Encoding.ASCII.GetBytes("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        await Eventually.EqualsAsync("there is no room", HttpStatusCode.ServiceUnavailable, () => StatusAsync(http, "/events"));

        // When the deaf one is let go there is room again; the others read on.
        await Eventually.EqualsAsync("there is room", HttpStatusCode.OK, () => StatusAsync(http, "/events"), Patience.Long);
        Assert.All(readers, static reader => Assert.False(reader.IsCompleted, $"{reader.Exception}"));
        await end.CancelAsync();
        await Task.WhenAll(readers);
    }

    /// <summary>Reads to the end that is asked for; it is a fault that the stream ends by itself.</summary>
    private static async Task ReadAsync(StreamReader stream, CancellationToken end)
    {
        using StreamReader own = stream;
        try
        {
            while (await stream.ReadLineAsync(end) is not null)
            {
            }
        }
        catch (OperationCanceledException)
        {
            return;
        }

        throw new EndOfStreamException();
    }

    private async Task<(PoolerProcess Pooler, HttpClient Http, string Database)> StartAsync(Action<PoolerIni>? adjust = null)
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next();
        PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["http_listen_port"] = $"{port}";
            adjust?.Invoke(ini);
        });
        await Eventually.BecomesAsync("the process is up", () => Task.FromResult(pooler.Log), static log => log.Contains("process up:", StringComparison.Ordinal));
        return (pooler, new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = Patience.Default }, database);
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient http, string path, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        foreach ((string name, string value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        using HttpResponseMessage answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return answer.StatusCode;
    }

    private static async Task<StreamReader> ListenAsync(HttpClient http)
    {
        HttpResponseMessage answer = await http.GetAsync("/events", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal((HttpStatusCode.OK, "text/event-stream"), (answer.StatusCode, $"{answer.Content.Headers.ContentType}"));
        return new StreamReader(await answer.Content.ReadAsStreamAsync());
    }

    private static async Task<(string Name, JsonElement Data)> EventAsync(StreamReader stream)
    {
        string[] lines = [await LineAsync(stream), await LineAsync(stream), await LineAsync(stream)];
        Assert.StartsWith("event: ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("data: ", lines[1], StringComparison.Ordinal);
        Assert.Equal("", lines[2]);
        return (lines[0][7..], JsonDocument.Parse(lines[1][6..]).RootElement);
    }

    private static async Task<string> LineAsync(StreamReader stream)
    {
        using var late = new CancellationTokenSource(Patience.Default);
        return await stream.ReadLineAsync(late.Token) ?? throw new EndOfStreamException();
    }

    /// <summary>Of the database, in the next state.</summary>
    private static async Task<long> TransactionsAsync(StreamReader stream, string database)
    {
        while (true)
        {
            (string name, JsonElement state) = await EventAsync(stream);
            if (name == "state")
                return state.GetProperty("databases").GetProperty("rows").EnumerateArray().Single(d => d.GetProperty("name").GetString() == database).GetProperty("transactions").GetInt64();
        }
    }
}
