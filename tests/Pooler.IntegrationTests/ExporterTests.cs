using System.Globalization;

namespace Pooler.IntegrationTests;

/// <summary>
/// What prometheus-community's pgbouncer_exporter asks of the console and what it expects (its collector.go), over the messages its
/// driver lib/pq sends: it scans int4 and int8 as integers, numeric as bytes, and everything must become a number or a label.
/// </summary>
public sealed class ExporterTests(PostgresCluster postgres)
{
    private const string Stats = "watcher";

    private static readonly Dictionary<string, (string[] Labels, string[] Metrics)> Namespaces = new()
    {
        ["databases"] = (
            ["name", "host", "port", "database", "force_user", "pool_mode"],
            ["pool_size", "max_connections", "current_connections", "paused", "disabled"]), // Its reserve_pool has another name since 1.24.
        ["stats_totals"] = (
            ["database"],
            ["query_count", "query_time", "bytes_received", "bytes_sent", "wait_time", "xact_count", "xact_time", "client_parse_count", "server_parse_count", "bind_count"]),
        ["pools"] = (
            ["database", "user"],
            [
                "cl_active", "cl_active_cancel_req", "cl_waiting", "cl_waiting_cancel_req", "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used",
                "sv_tested", "sv_login", "maxwait",
            ]),
    };

    private static readonly string[] Lists =
        ["databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers", "used_servers", "dns_names", "dns_zones", "dns_queries"];

    [Theory]
    [InlineData(PoolerIni.Admin)]
    [InlineData(Stats)]
    public async Task EveryScrapeSucceeds(string user)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["stats_users"] = Stats;
            ini.Passwords[Stats] = "";
            ini.Settings["ignore_startup_parameters"] = "";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync("pgbouncer", user, ("client_encoding", "UTF8"), ("datestyle", "ISO, MDY"), ("extra_float_digits", "2"));
        for (int scrape = 0; scrape < 2; scrape++)
        {
            Assert.Matches("^TD+CZ$", (await wire.QueryAsync("SHOW STATS")).Types);
            PgReply version = await wire.QueryAsync("SHOW VERSION;");
            Assert.Equal(["version 25 -1"], RecordedConsole.Columns(version.Messages[0]));
            Assert.Matches(@"^PgBouncer \d+\.\d+\.\d+ ", version.Scalar!);
            await ScrapeListsAsync(wire);
            await ScrapeConfigAsync(wire);
            foreach ((string name, (string[] labels, string[] metrics)) in Namespaces)
                await ScrapeAsync(wire, name, labels, metrics, database);
        }
    }

    private static async Task ScrapeListsAsync(PgWire wire)
    {
        PgReply reply = await wire.QueryAsync("SHOW LISTS;");
        Assert.Equal(2, reply.Messages[0].Columns().Length); // It refuses any other number.
        Dictionary<string, double> items = reply.Rows.ToDictionary(static r => r[0]!, static r => Number(r[1]));
        Assert.All(Lists, name => Assert.True(items.ContainsKey(name), name));
        Assert.Equal((2, 2), (items["used_clients"], items["databases"]));
    }

    private static async Task ScrapeConfigAsync(PgWire wire)
    {
        PgReply reply = await wire.QueryAsync("SHOW CONFIG;");
        Assert.Equal(4, reply.Messages[0].Columns().Length); // Three or four.
        Assert.All(reply.Rows, static r => Assert.True(r[0] != null && r[3] is "yes" or "no"));
        Dictionary<string, string?> values = reply.Rows.ToDictionary(static r => r[0]!, static r => r[1]);
        Assert.Equal((1000, 0), (Number(values["max_client_conn"]), Number(values["max_user_connections"])));
    }

    private static async Task ScrapeAsync(PgWire wire, string name, string[] labels, string[] metrics, string database)
    {
        PgReply reply = await wire.QueryAsync($"SHOW {name};");
        Assert.Equal("SHOW", reply.Messages[^2].Text());
        Dictionary<string, string> types = RecordedConsole.Columns(reply.Messages[0]).Select(static c => c.Split(' ')).ToDictionary(static c => c[0], static c => c[1]);
        Assert.All(labels, label => Assert.Contains(types[label], (string[])["25", "23", "20"])); // Numeric would come as bytes, which are no label.
        List<Dictionary<string, string?>> rows = reply.ToMaps();
        Assert.Contains(rows, row => row[labels[0]] == database);
        Assert.All(rows, row => Assert.All(metrics, metric => Number(row[metric])));
        string counted = name switch { "databases" => "current_connections", "pools" => "sv_idle", _ => "query_count" };
        Assert.Equal(1, Number(rows.Single(row => row[labels[0]] == database)[counted]));
    }

    private static double Number(string? text) => double.Parse(text!, NumberStyles.Float, CultureInfo.InvariantCulture);
}
