using System.Net;

namespace Pooler.IntegrationTests;

/// <summary>/healthz, /readyz and /startupz, as an orchestrator asks them.</summary>
public sealed class HealthTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ReadyAsLongAsEveryDatabaseCanBeServed()
    {
        await using Ready ready = await Ready.StartAsync(postgres);
        Assert.Equal((HttpStatusCode.OK, "ok\n"), await ready.GetAsync("/healthz"));
        Assert.Equal((HttpStatusCode.OK, "[+] listening\nstarted\n"), await ready.GetAsync("/startupz"));
        Assert.Equal((HttpStatusCode.OK, $"[+] listening\n[+] configuration\n[+] database {ready.Database}\nready\n"), await ready.GetAsync("/readyz"));
        Assert.Equal(HttpStatusCode.NotFound, (await ready.GetAsync("/nothing")).Status);

        await ready.Pooler.CommandAsync($"PAUSE {ready.Database}");
        await ready.FailsAsync($"[-] database {ready.Database}: paused");
        await ready.Pooler.CommandAsync($"RESUME {ready.Database}");
        await ready.Pooler.CommandAsync($"DISABLE {ready.Database}");
        await ready.FailsAsync($"[-] database {ready.Database}: disabled");
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz?exclude=databases")).Status);
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync($"/readyz?exclude=database%20{ready.Database}")).Status);
        await ready.Pooler.CommandAsync($"ENABLE {ready.Database}");
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz")).Status);
    }

    [Fact]
    public async Task NotReadyWhileServersCannotBeOpenedAndAfterAReloadWithErrors()
    {
        await using Ready ready = await Ready.StartAsync(postgres, static ini => ini.Databases["lost"] = $"host=127.0.0.1 port={FreePort.Next()}");
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz")).Status); // Nobody has asked for it yet.
        using PgWire client = await PgWire.ConnectAsync(ready.Pooler.EndPoint);
        await Assert.ThrowsAnyAsync<Exception>(() => client.LoginAsync("lost", PostgresCluster.User));
        await ready.FailsAsync("[-] database lost: server login failed: ");
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz?exclude=database%20lost")).Status);

        string ini = Path.Combine(ready.Pooler.Folder, "pooler.ini"), good = File.ReadAllText(ini);
        File.WriteAllText(ini, good + "max_client_conn = many\n");
        using PgWire console = await ready.Pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.NotNull((await console.QueryAsync("RELOAD")).Error);
        await ready.FailsAsync("[-] configuration: the last RELOAD failed");
        File.WriteAllText(ini, good);
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz?exclude=database%20lost")).Status);
    }

    [Theory]
    [InlineData("Term")]
    [InlineData("Int")]
    public async Task ReadinessFailsFirstAndNewClientsAreTakenUntilShutdownDelayIsOver(string signal)
    {
        await using Ready ready = await Ready.StartAsync(postgres, static ini => ini.Settings["shutdown_delay"] = "1");
        using PgWire client = await ready.Pooler.LoginAsync(ready.Database);
        ready.Pooler.Send(Enum.Parse<ChildProcess.Signal>(signal));
        await Eventually.EqualsAsync("it is no longer ready", HttpStatusCode.ServiceUnavailable, async () => (await ready.GetAsync("/readyz")).Status);
        await ready.FailsAsync("[-] listening: the process is about to end");
        using (PgWire late = await ready.Pooler.LoginAsync(ready.Database))
        {
            Assert.Equal("1", (await late.QueryAsync("SELECT 1")).Scalar);
        }

        if (signal == "Term")
        {
            await Eventually.BecomesAsync("nobody listens", () => Task.FromResult(IsRefused(ready.Pooler.EndPoint)), static refused => refused);
            await ready.FailsAsync("[-] listening: the process is about to end"); // Whoever drains it may look on.
            Assert.Equal("2", (await client.QueryAsync("SELECT 2")).Scalar);
        }
        else
        {
            await ConsoleCommandTests.AssertFatalAsync(client, "57P01", "server shutting down");
        }

        client.Dispose();
        await ready.EndsAsync();
    }

    /// <summary>Its port may still be held by the process before it: it starts all the same, and listens as soon as it can.</summary>
    [Fact]
    public async Task APortInUseIsAWarningAndIsTakenWhenItIsFree()
    {
        var other = new System.Net.Sockets.TcpListener(IPAddress.Loopback, FreePort.Next());
        other.Start();
        try
        {
            await using Ready ready = await Ready.StartAsync(postgres, ini => ini.Settings["http_listen_port"] = $"{((IPEndPoint)other.LocalEndpoint).Port}");
            Assert.Contains(ready.Pooler.LogLines, static line => line.Contains("cannot listen on http://127.0.0.1:", StringComparison.Ordinal) && line.Contains("http_listen_port", StringComparison.Ordinal));
            using PgWire client = await ready.Pooler.LoginAsync(ready.Database);
            Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
            other.Stop();
            await Eventually.BecomesAsync("it listens", () => Task.FromResult(ready.Pooler.Log), static log => log.Contains("listening on http://", StringComparison.Ordinal));
            Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/readyz")).Status);
        }
        finally
        {
            other.Dispose();
        }
    }

    [Fact]
    public async Task ReloadMovesTheListenerAndEndsIt()
    {
        await using Ready ready = await Ready.StartAsync(postgres);
        int port = ready.HttpPort, next = FreePort.Next();
        await ready.Pooler.CommandAsync($"SET http_listen_port = {next}");
        await Eventually.EqualsAsync("the old port is refused", true, () => Task.FromResult(IsRefused(new IPEndPoint(IPAddress.Loopback, port))));
        ready.HttpPort = next;
        await Eventually.EqualsAsync("the new one is taken", false, () => Task.FromResult(IsRefused(new IPEndPoint(IPAddress.Loopback, next))));
        Assert.Equal(HttpStatusCode.OK, (await ready.GetAsync("/healthz")).Status);
        await ready.Pooler.CommandAsync("SET http_listen_port = 0");
        await Eventually.EqualsAsync("nobody listens", true, () => Task.FromResult(IsRefused(new IPEndPoint(IPAddress.Loopback, next))));
    }

    private static bool IsRefused(EndPoint endPoint)
    {
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        try
        {
            socket.Connect(endPoint);
            return false;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return true;
        }
    }

    private sealed class Ready(PoolerProcess pooler, string database, int httpPort) : IAsyncDisposable
    {
        private readonly HttpClient _http = new() { Timeout = Patience.Default };
        private bool _hasEnded;

        public PoolerProcess Pooler => pooler;

        public string Database => database;

        public int HttpPort { get; set; } = httpPort;

        public static async Task<Ready> StartAsync(PostgresCluster postgres, Action<PoolerIni>? adjust = null)
        {
            string database = await postgres.CreateDatabaseAsync();
            int port = FreePort.Next();
            PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
            {
                ini.Settings["http_listen_port"] = $"{port}";
                adjust?.Invoke(ini);
                port = int.Parse(ini.Settings["http_listen_port"]);
            });
            await Eventually.BecomesAsync("the process is up", () => Task.FromResult(pooler.Log), static log => log.Contains("process up:", StringComparison.Ordinal));
            return new Ready(pooler, database, port);
        }

        public async Task<(HttpStatusCode Status, string Text)> GetAsync(string path)
        {
            using HttpResponseMessage answer = await _http.GetAsync($"http://127.0.0.1:{HttpPort}{path}");
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
        }

        public async Task FailsAsync(string line)
        {
            (HttpStatusCode status, string text) = await GetAsync("/readyz");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            Assert.Contains(text.Split('\n'), l => l.StartsWith(line, StringComparison.Ordinal));
        }

        public async Task EndsAsync()
        {
            Assert.True(await pooler.WaitForExitAsync(Patience.Default));
            await pooler.EndAsync();
            _hasEnded = true;
        }

        public async ValueTask DisposeAsync()
        {
            _http.Dispose();
            if (!_hasEnded)
                await pooler.DisposeAsync();
        }
    }
}
