using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>/metrics and OTLP: right after known traffic, and as a real Prometheus and a receiver of OTLP read them.</summary>
public sealed partial class MetricsTests(PostgresCluster postgres)
{
    [Fact]
    public async Task ValuesAreThoseOfTheTraffic()
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next();
        await using PoolerProcess pooler = await StartAsync(database, port, static ini =>
        {
            ini.Settings["query_wait_timeout"] = "0.2";
            ini.Settings["reserve_pool_size"] = "3";
            ini.Settings["reserve_pool_timeout"] = "60";
        }, poolSize: 1);
        using (PgWire client = await pooler.LoginAsync(database))
        {
            for (int i = 0; i < 5; i++)
                await client.QueryAsync("SELECT 1");
            await client.QueryAsync("BEGIN");
            await client.QueryAsync("SELECT pg_sleep(0.06)");
            using PgWire waiting = await pooler.LoginAsync(database);
            await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
            await ConsoleCommandTests.AssertFatalAsync(waiting, "08P01", "query_wait_timeout");
            await client.QueryAsync("COMMIT");
            await client.QueryAsync("LISTEN news");

            // That it listens is asked of the server behind the answer.
            await Eventually.EqualsAsync("pins", 1, async () => (await pooler.ConsoleAsync("SHOW PINS")).Count);
        }

        using PgWire stranger = await PgWire.ConnectAsync(pooler.EndPoint);
        await Assert.ThrowsAnyAsync<Exception>(() => stranger.LoginAsync("nowhere", PostgresCluster.User));
        string pool = $$"""{database="{{database}}",user="{{PostgresCluster.User}}"}""", host = $$"""{database="{{database}}",user="{{PostgresCluster.User}}",host="127.0.0.1:{{postgres.Port}}"}""";
        Dictionary<string, double> values = await Eventually.BecomesAsync("both clients have gone", () => ScrapeAsync(port), seen => seen.GetValueOrDefault($"pgbouncer_pools_client_active_connections{pool}") == 0);

        Assert.Equal(1, values["pgbouncer_up"]);
        Assert.Equal(9, values[$$"""pgbouncer_stats_queries_pooled_total{database="{{database}}"}"""]);
        Assert.Equal(7, values[$$"""pgbouncer_stats_sql_transactions_pooled_total{database="{{database}}"}"""]);
        Assert.Equal(1, values[$$"""pgbouncer_databases_current_connections{name="{{database}}",host="127.0.0.1",port="{{postgres.Port}}",database="{{database}}",force_user="",pool_mode=""}"""]);
        Assert.Equal(3, values[$$"""pgbouncer_databases_reserve_pool{name="{{database}}",host="127.0.0.1",port="{{postgres.Port}}",database="{{database}}",force_user="",pool_mode=""}"""]);

        Assert.Equal(7, values[$"db_client_connection_wait_time_seconds_count{pool}"]);
        Assert.Equal(1, values[$"db_client_connection_create_time_seconds_count{host}"]);
        Assert.Equal(9, values[$"db_client_operation_duration_seconds_count{host}"]);
        Assert.InRange(values[$"db_client_operation_duration_seconds_sum{host}"], 0.06, 5);
        Assert.Equal(9, values[$"db_client_operation_duration_seconds_bucket{host[..^1]},le=\"+Inf\"}}"]);
        Assert.InRange(values[$"db_client_operation_duration_seconds_bucket{host[..^1]},le=\"0.05\"}}"], 0, 8);
        Assert.Equal(7, values[$"db_client_connection_use_time_seconds_count{host}"]);
        Assert.InRange(values[$"db_client_connection_use_time_seconds_sum{host}"], 0.06, 10);
        Assert.Equal(9, values[$"pooler_transfer_time_seconds_count{host}"]);

        Assert.Equal(1, values[$$"""pooler_errors_total{database="{{database}}",cause="query_wait_timeout"}"""]);
        Assert.Equal(1, values[$$"""pooler_client_closes_total{database="{{database}}",cause="query_wait_timeout"}"""]);
        Assert.Equal(1, values["pooler_errors_total{database=\"other\",cause=\"no_database\"}"]);
        Assert.Equal((2, 1), (values["pooler_logins_total{result=\"ok\"}"], values["pooler_logins_total{result=\"failed\"}"]));
        Assert.Equal(1, values[$"pooler_pins_total{pool[..^1]},reason=\"LISTEN\"}}"]);
        Assert.Equal(0, values[$"pooler_pinned_clients{pool}"]);
        Assert.Equal(1, values["pooler_config_last_reload_successful"]);
        Assert.InRange(values["process_resident_memory_bytes"], 5e6, 5e8);
        Assert.InRange(values["process_start_time_seconds"], DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 600, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1);
        Assert.InRange(values["pooler_io_thread_busy_seconds_total{thread=\"0\"}"], 0.000001, 60);
    }

    /// <summary>A replica's role and lag, reads by role, the death of a primary and the failover.</summary>
    [Fact]
    public async Task HostsAreTold()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        int port = FreePort.Next();
        var ini = new PoolerIni { Databases = { ["app"] = set.Entry("routing=read_write_split") } };
        (ini.Settings["http_listen_port"], ini.Settings["health_check_interval"]) = ($"{port}", "0.1");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire client = await pooler.LoginAsync("app");
        await client.QueryAsync("CREATE TABLE t (id int)");
        await set.CatchUpAsync(1);
        string reads = "pooler_reads_total{database=\"app\",host_role=\"replica\"}";
        await Eventually.BecomesAsync("a read goes to the replica", async () =>
        {
            await client.QueryAsync("SELECT count(*) FROM t");
            return (await ScrapeAsync(port))[reads];
        }, static count => count > 0);

        string[] hosts = [.. set.Hosts.Select(static h => $"database=\"app\",host=\"127.0.0.1:{h.Port}\"")];
        Dictionary<string, double> values = await Eventually.BecomesAsync("the replica has all", () => ScrapeAsync(port), seen => seen.GetValueOrDefault($"pooler_replica_lag_bytes{{{hosts[1]}}}", -1) == 0);
        foreach ((string host, string role, string not) in (ReadOnlySpan<(string, string, string)>)[(hosts[0], "primary", "replica"), (hosts[1], "replica", "primary")])
        {
            Assert.Equal((1, 1, 0), (values[$"pooler_host_up{{{host}}}"], values[$"pooler_host_role{{{host},role=\"{role}\"}}"], values[$"pooler_host_role{{{host},role=\"{not}\"}}"]));
            Assert.InRange(values[$"pooler_host_probe_time_seconds{{{host}}}"], 1e-6, 5);
            Assert.Equal(0, values[$"pooler_host_ejections_total{{{host}}}"]);
        }

        Assert.DoesNotContain($"pooler_replica_lag_bytes{{{hosts[0]}}}", values.Keys);
        Assert.Equal(0, values["pooler_failovers_total{database=\"app\"}"]);

        await set.Primary.KillAsync();
        await set.Hosts[1].PromoteAsync();
        values = await Eventually.BecomesAsync("the failover is counted", () => ScrapeAsync(port), static seen => seen["pooler_failovers_total{database=\"app\"}"] == 1);
        Assert.Equal((0, 1), (values[$"pooler_host_up{{{hosts[0]}}}"], values[$"pooler_host_role{{{hosts[1]},role=\"primary\"}}"]));
        Assert.Equal("t", (await client.QueryAsync("SELECT to_regclass('t')")).Scalar);
    }

    [Fact]
    public async Task TlsIsTold()
    {
        using Certificates made = await Certificates.CreateAsync();
        (string certificate, string key) = await made.SignServerAsync();
        int port = FreePort.Next();
        await using PoolerProcess pooler = await StartAsync(await postgres.CreateDatabaseAsync(), port, ini =>
        {
            (ini.Settings["client_tls_sslmode"], ini.Settings["client_tls_cert_file"], ini.Settings["client_tls_key_file"]) = ("allow", certificate, key);
        });
        string ok = "pooler_tls_handshakes_total{side=\"client\",result=\"ok\"}";
        using (await TlsSocket.OpenAsync(pooler.EndPoint))
        {
            await Eventually.BecomesAsync("the handshake is counted", () => ScrapeAsync(port), seen => seen[ok] == 1);
        }

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.SslRequest);
        Assert.Equal('S', await wire.ReadByteAsync());
        await wire.SendAsync("this is no handshake"u8.ToArray());
        Dictionary<string, double> values = await Eventually.BecomesAsync(
            "the broken one is counted", () => ScrapeAsync(port), static seen => seen["pooler_tls_handshakes_total{side=\"client\",result=\"failed\"}"] == 1);
        Assert.Equal(1, values[ok]);
        using var shown = X509CertificateLoader.LoadCertificateFromFile(certificate);
        Assert.Equal(
            new DateTimeOffset(shown.NotAfter.ToUniversalTime()).ToUnixTimeSeconds(), values["pooler_tls_certificate_expiry_timestamp_seconds{side=\"client\",subject=\"CN=localhost\"}"]);
    }

    /// <summary>A real Prometheus has it, and promtool has nothing to say of our own names.</summary>
    [Fact]
    public async Task PrometheusScrapesIt()
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next(), own = FreePort.Next();
        await using PoolerProcess pooler = await StartAsync(database, port);
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        using var http = new HttpClient();
        string page = await http.GetStringAsync($"http://127.0.0.1:{port}/metrics"), ownNames = string.Join('\n', page.Split('\n').Where(static line => !line.Contains("pgbouncer_", StringComparison.Ordinal))) + "\n";
        string folder = OrdinaryUser.CreateFolder();
        try
        {
            foreach ((string text, string verdict) in ((string, string)[])[(ownNames, ""), (page, "pgbouncer_")])
            {
                File.WriteAllText(Path.Combine(folder, "page"), text);
                CommandLine.Result lint = await CommandLine.RunAsync("/bin/sh", ["-c", $"promtool check metrics < {folder}/page 2>&1"]);
                Assert.All(lint.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.True(verdict.Length > 0 && line.StartsWith(verdict, StringComparison.Ordinal), line));
            }

            File.WriteAllText(Path.Combine(folder, "prometheus.yml"), $"scrape_configs:\n- job_name: pooler\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n");
            ChildProcess prometheus = ChildProcess.Start(folder, ["prometheus", $"--config.file={folder}/prometheus.yml", $"--storage.tsdb.path={folder}/data", $"--web.listen-address=127.0.0.1:{own}"]);
            try
            {
                await Eventually.EqualsAsync("Prometheus has the query", "1", () => AskAsync(http, own, $$"""sum(pgbouncer_stats_queries_pooled_total{database="{{database}}"})"""));
                await Eventually.EqualsAsync("and its time", "1", () => AskAsync(http, own, $$"""sum(db_client_operation_duration_seconds_bucket{database="{{database}}",le="+Inf"})"""));
                Assert.Equal("1", await AskAsync(http, own, "up"));
            }
            finally
            {
                await prometheus.DisposeAsync();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task OtlpSendsTheSameTable()
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next(), receiverPort = FreePort.Next();
        using var receiver = new HttpListener { Prefixes = { $"http://127.0.0.1:{receiverPort}/" } };
        receiver.Start();
        await using PoolerProcess pooler = await StartAsync(database, port, ini =>
        {
            ini.Settings["otlp_endpoint"] = $"http://127.0.0.1:{receiverPort}";
            ini.Settings["otlp_headers"] = "x-team=data%20base, x-key=secret";
            ini.Settings["otlp_interval"] = "0.1";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        OtlpMessage? duration = null;
        await Eventually.BecomesAsync("the query was told", async () =>
        {
            HttpListenerContext context = await receiver.GetContextAsync();
            Assert.Equal(("POST", "/v1/metrics", "application/x-protobuf"), (context.Request.HttpMethod, context.Request.Url!.AbsolutePath, context.Request.ContentType));
            Assert.Equal(("data base", "secret"), (context.Request.Headers["x-team"], context.Request.Headers["x-key"]));
            using var body = new MemoryStream();
            await context.Request.InputStream.CopyToAsync(body);
            context.Response.Close();
            OtlpMessage resource = new OtlpMessage(body.ToArray()).Inner(1).Single();
            Assert.Contains("pooler", resource.Inner(1).Single().Inner(1).Select(static a => a.Inner(2).Single().Text(1)));
            duration = resource.Inner(2).Single().Inner(2).FirstOrDefault(static m => m.Text(1) == "db.client.operation.duration");
            return duration?.Inner(9).Single().Inner(1).Single().Fixed(4) ?? 0;
        }, static count => count == 1);

        Assert.Equal("s", duration!.Text(3));
        OtlpMessage histogram = duration.Inner(9).Single(), point = histogram.Inner(1).Single();
        Assert.Equal(2ul, histogram.Number(2)); // Cumulative.
        Dictionary<string, string> attributes = point.Inner(9).ToDictionary(static a => a.Text(1), static a => a.Inner(2).Single().Text(1));
        Assert.Equal((database, PostgresCluster.User, $"127.0.0.1:{postgres.Port}"), (attributes["db.namespace"], attributes["db.user"], attributes["server.address"]));
        Assert.Equal(1ul, point.Packed(6).Aggregate(static (a, b) => a + b));
        Assert.Equal(point.Packed(6).Length, point.Packed(7).Length + 1);
        Assert.InRange(BitConverter.UInt64BitsToDouble(point.Fixed(5)), 0.000001, 10);
    }

    private async Task<PoolerProcess> StartAsync(string database, int port, Action<PoolerIni>? adjust = null, int poolSize = 20)
    {
        PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: poolSize, adjust: ini =>
        {
            ini.Settings["http_listen_port"] = $"{port}";
            adjust?.Invoke(ini);
        });
        await Eventually.BecomesAsync("the process is up", () => Task.FromResult(pooler.Log), static log => log.Contains("process up:", StringComparison.Ordinal));
        return pooler;
    }

    internal static async Task<Dictionary<string, double>> ScrapeAsync(int port)
    {
        using var http = new HttpClient();
        string page = await http.GetStringAsync($"http://127.0.0.1:{port}/metrics");
        return Line().Matches(page).ToDictionary(static m => m.Groups[1].Value, static m => double.Parse(m.Groups[2].Value, NumberStyles.Float, CultureInfo.InvariantCulture));
    }

    private static async Task<string> AskAsync(HttpClient http, int port, string query)
    {
        try
        {
            using JsonDocument answer = JsonDocument.Parse(await http.GetStringAsync($"http://127.0.0.1:{port}/api/v1/query?query={Uri.EscapeDataString(query)}"));
            return answer.RootElement.GetProperty("data").GetProperty("result").EnumerateArray().Select(static r => r.GetProperty("value")[1].GetString()!).SingleOrDefault() ?? "nothing";
        }
        catch (HttpRequestException e)
        {
            return e.Message; // It is not up yet.
        }
    }

    [GeneratedRegex(@"^([^#\n]+) (\S+)$", RegexOptions.Multiline)]
    private static partial Regex Line();
}
