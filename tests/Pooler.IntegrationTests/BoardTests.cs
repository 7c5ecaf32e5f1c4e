using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>The board and the rules of config/, asked of a real Prometheus that scrapes a pooler under load.</summary>
public sealed class BoardTests
{
    private static readonly TimeSpan Load = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task EveryQueryOfBoardAndRulesFindsData()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/prometheus"), "needs Debian's package prometheus");
        await using ReplicaSet set = await ReplicaSet.StartAsync(1);
        await set.Primary.ExecuteAsync("CREATE TABLE noted (at timestamptz DEFAULT now())");
        using Certificates certificates = await Certificates.CreateAsync();
        (string certificate, string key) = await certificates.SignServerAsync();
        int http = FreePort.Next();
        var ini = new PoolerIni();
        ini.Databases["app"] = set.Entry("routing=read_write_split pool_size=2");
        ini.Settings["http_listen_port"] = $"{http}";
        ini.Settings["ignore_startup_parameters"] = "extra_float_digits";
        ini.Settings["client_tls_sslmode"] = "allow";
        ini.Settings["client_tls_cert_file"] = certificate;
        ini.Settings["client_tls_key_file"] = await certificates.GiveKeyAsync(key, toOrdinaryUser: true);
        ini.Settings["health_check_interval"] = "0.5";
        ini.Passwords[PostgresCluster.Superuser] = "";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using var folder = new RunFolder();
        await using ChildProcess prometheus = await StartPrometheusAsync(folder, http, out Uri address);

        // Reads and writes of more clients than servers, every other client with a setting of its own.
        await File.WriteAllTextAsync(folder.PathOf("read.sql"), "SELECT count(*) FROM pg_class;\n");
        await File.WriteAllTextAsync(folder.PathOf("write.sql"), "INSERT INTO noted DEFAULT VALUES;\n");
        ChildProcess Pgbench(string options) => ChildProcess.Start(folder.Path, "env", $"PGOPTIONS={options}", Path.Combine(PostgresCluster.Programs, "pgbench"), "-n", "-c", "3", "-R", "100",
            "-T", $"{Load.TotalSeconds:0}", "-f", "read.sql", "-f", "write.sql", pooler.LibpqString("app", PostgresCluster.Superuser) + " sslmode=require");
        await using ChildProcess plain = Pgbench("");
        await using ChildProcess special = Pgbench("-c work_mem=7MB");

        // What is rarer: a pin, an error of ours, a login that fails; servers are opened and closed again and again below.
        using PgWire pinned = await pooler.LoginAsync("app", PostgresCluster.Superuser);
        Assert.Null((await pinned.QueryAsync("LISTEN x")).Error);
        CommandLine.Result refused = await CommandLine.PsqlAsync(pooler.LibpqString("nowhere", PostgresCluster.Superuser), "select 1");
        Assert.NotEqual(0, refused.ExitCode);

        using var client = new HttpClient { BaseAddress = address, Timeout = Patience.Default };
        string[] queries = [.. BoardQueries(), .. MetricsOfRules().Select(static name => $"count({{__name__=\"{name}\"}})")];
        Assert.InRange(queries.Length, 60, 200);
        await Eventually.EqualsAsync("queries without data", "", async () =>
        {
            await pooler.CommandAsync("RECONNECT app");
            return string.Join('\n', await WithoutDataAsync(client, queries));
        }, Load);

        // Prometheus itself has evaluated the rules, and only what the load brings about is told.
        JsonElement groups = (await GetAsync(client, "api/v1/rules")).GetProperty("groups");
        Assert.All(groups.EnumerateArray().SelectMany(static g => g.GetProperty("rules").EnumerateArray()), static rule => Assert.Equal("ok", rule.GetProperty("health").GetString()));
        string[] alerts = [.. (await GetAsync(client, "api/v1/alerts")).GetProperty("alerts").EnumerateArray().Where(static a => a.GetProperty("state").GetString() == "firing").Select(static a => a.GetProperty("labels").GetProperty("alertname").GetString()!)];
        Assert.Equal(["PoolerCertificateExpires"], alerts.Distinct()); // It is good for two days.
        Assert.False(plain.HasExited, plain.Log);
        Assert.False(special.HasExited, special.Log);
    }

    private static Task<ChildProcess> StartPrometheusAsync(RunFolder folder, int target, out Uri address)
    {
        int port = FreePort.Next();
        address = new Uri($"http://127.0.0.1:{port}/");
        File.Copy(Repository.PathOf("config", "prometheus", "alerts.yml"), folder.PathOf("alerts.yml"));
        string text = File.ReadAllText(Repository.PathOf("config", "prometheus", "prometheus.yml"));
        Assert.Contains("pooler:9127", text, StringComparison.Ordinal);
        File.WriteAllText(folder.PathOf("prometheus.yml"), text.Replace("pooler:9127", $"127.0.0.1:{target}", StringComparison.Ordinal).Replace("5s", "1s", StringComparison.Ordinal));
        ChildProcess process = ChildProcess.Start(folder.Path, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", $"--web.listen-address=127.0.0.1:{port}");
        return ReadyAsync(process);
    }

    private static async Task<ChildProcess> ReadyAsync(ChildProcess process)
    {
        await process.SaysAsync("Server is ready to receive web requests");
        return process;
    }

    /// <summary>As Grafana asks them with all databases chosen.</summary>
    private static IEnumerable<string> BoardQueries()
    {
        using JsonDocument board = JsonDocument.Parse(File.ReadAllText(Repository.PathOf("config", "grafana", "pooler.json")));
        foreach (JsonElement panel in board.RootElement.GetProperty("panels").EnumerateArray().Where(static p => p.TryGetProperty("targets", out _)))
        {
            foreach (JsonElement target in panel.GetProperty("targets").EnumerateArray())
                yield return target.GetProperty("expr").GetString()!.Replace("$database", ".*", StringComparison.Ordinal).Replace("$__rate_interval", "10s", StringComparison.Ordinal);
        }
    }

    private static IEnumerable<string> MetricsOfRules() =>
        Regex.Matches(File.ReadAllText(Repository.PathOf("config", "prometheus", "alerts.yml")), @"\b(pooler|pgbouncer|process)_[a-z_]+\b").Select(static m => m.Value).Distinct();

    /// <summary>A query has data if one of its series is a number.</summary>
    private static async Task<List<string>> WithoutDataAsync(HttpClient client, string[] queries)
    {
        List<string> without = [];
        foreach (string query in queries)
        {
            JsonElement result = (await GetAsync(client, $"api/v1/query?query={Uri.EscapeDataString(query)}")).GetProperty("result");
            if (!result.EnumerateArray().Any(static series => double.IsFinite(double.Parse(series.GetProperty("value")[1].GetString()!, CultureInfo.InvariantCulture))))
                without.Add(query);
        }

        return without;
    }

    private static async Task<JsonElement> GetAsync(HttpClient client, string path)
    {
        using HttpResponseMessage answer = await client.GetAsync(new Uri(path, UriKind.Relative));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {text}");
        return JsonDocument.Parse(text).RootElement.GetProperty("data");
    }
}
