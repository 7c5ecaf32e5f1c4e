using Pooler.Admin;
using Pooler.Config;
using static Pooler.Monitoring.MetricKind;

namespace Pooler.Monitoring;

/// <summary>What prometheus-community's pgbouncer_exporter makes of the console, under its names, labels and units (its collector.go).</summary>
internal static class PgBouncerMetrics
{
    public static IEnumerable<MetricFamily> All =>
    [
        One("pgbouncer.up", "The process answers.", static _ => Sample.Of(1)),
        new("pgbouncer.version_info", Gauge, "", "Always 1; the label is SHOW VERSION.", ["version"], static s => [Sample.Of(1, ShowVersion.TextOf(s.Console))]),
        One("pgbouncer.config.max_client_connections", "Setting max_client_conn.", static s => Sample.Of(s.Console.Live.Current.Get(Settings.MaxClientConn))),
        One("pgbouncer.config.max_user_connections", "Setting max_user_connections.", static s => Sample.Of(s.Console.Live.Current.Get(Settings.MaxUserConnections))),

        Database("pool_size", "Most servers per user.", static d => d.PoolSize),
        Database("reserve_pool", "Servers a pool may open beyond its size; the name before PgBouncer 1.24.", static d => d.ReservePoolSize),
        Database("reserve_pool_size", "Servers a pool may open beyond its size.", static d => d.ReservePoolSize),
        Database("max_connections", "Most servers over all users; 0 = no limit.", static d => d.MaxConnections),
        Database("current_connections", "Servers there are.", static d => d.Connections),
        Database("paused", "1 while it is paused.", static d => d.IsPaused ? 1 : 0),
        Database("disabled", "1 while new clients are refused.", static d => d.IsDisabled ? 1 : 0),

        Stat("queries_pooled", "", "Queries answered.", static s => s.Queries),
        Stat("queries_duration", "s", "Time servers took over queries.", static s => s.QueryTime / 1e6),
        Stat("received", "By", "Bytes of clients that went to servers.", static s => s.Received),
        Stat("queries", "", "Queries answered; a second name of queries_pooled.", static s => s.Queries),
        Stat("sent", "By", "Bytes of servers that went to clients.", static s => s.Sent),
        Stat("client_wait", "s", "Time clients waited for a server.", static s => s.WaitTime / 1e6),
        Stat("sql_transactions_pooled", "", "Transactions ended.", static s => s.Transactions),
        Stat("server_in_transaction", "s", "Time servers were in a transaction, idle in it too.", static s => s.TransactionTime / 1e6),
        Stat("client_parses", "", "Parse messages of clients for named statements.", static s => s.Parses),
        Stat("server_parses", "", "Parse messages sent to servers for them.", static s => s.ServerParses),
        Stat("binds", "", "Bind messages of clients.", static s => s.Binds),

        Pool("client_active_connections", "Clients that wait for nothing, idle ones too.", static p => p.ActiveClients),
        Pool("client_active_cancel_connections", "Cancel requests of clients that servers were told of.", static p => p.CancelsActive),
        Pool("client_waiting_connections", "Clients that wait for a server.", static p => p.Waiting),
        Pool("client_waiting_cancel_connections", "Cancel requests of clients not passed on yet.", static p => p.CancelsWaiting),
        Pool("server_active_connections", "Servers held by a client.", static p => p.Active),
        Pool("server_active_cancel_connections", "Connections to servers that pass on cancel requests.", static p => p.ServerCancels),
        Pool("server_being_canceled_connections", "Servers that wait until cancel requests to them have ended.", static p => p.BeingCanceled),
        Pool("server_idle_connections", "Servers free for a client.", static p => p.Idle),
        Pool("server_used_connections", "Servers idle for so long that they are checked before the next client.", static p => p.Used),
        Pool("server_testing_connections", "Servers being reset or checked.", static p => p.Tested),
        Pool("server_login_connections", "Servers that log in.", static p => p.Login),
        Pool("client_maxwait", "How long the client at the head of the queue has waited.", static p => p.LongestWait / 1e6, "s") with { IsMaximum = true },

        List("databases", "databases", "Databases."),
        List("users", "users", "Users."),
        List("pools", "pools", "Pools."),
        List("free_clients", "free_clients", "Always 0: no objects are kept for clients to come."),
        List("used_clients", "used_clients", "Clients, logging in or logged in."),
        List("login_clients", "login_clients", "Clients that log in."),
        List("free_servers", "free_servers", "Always 0: no objects are kept for servers to come."),
        List("used_servers", "used_servers", "Connections to servers, cancel requests too."),
        List("cached_dns_names", "dns_names", "Host names whose addresses are known."),
        List("cached_dns_zones", "dns_zones", "Zones of these names."),
        List("in_flight_dns_queries", "dns_queries", "Lookups under way."),
    ];

    private static MetricFamily One(string name, string meaning, Func<Snapshot, Sample> read) => new(name, Gauge, "", meaning, [], s => [read(s)]);

    private static MetricFamily Database(string name, string meaning, Func<DatabaseFacts, double> read) => new(
        "pgbouncer.databases." + name, Gauge, "", meaning, ["name", "host", "port", "database", "force_user", "pool_mode"],
        s => s.Databases.Select(d => Sample.Of(read(d), d.Name, d.Host ?? "", $"{d.Port}", d.DbName, d.ForcedUser ?? "", d.PoolMode ?? "")));

    private static MetricFamily Stat(string name, string unit, string meaning, Func<Pooling.PoolStats, double> read) => new(
        "pgbouncer.stats." + name, Counter, unit, meaning, ["database"], s => s.Stats.Select(d => Sample.Of(read(d.Total), d.Database)));

    private static MetricFamily Pool(string name, string meaning, Func<PoolFacts, double> read, string unit = "") => new(
        "pgbouncer.pools." + name, Gauge, unit, meaning, ["database", "user"], s => s.Pools.Select(p => Sample.Of(read(p), p.Database, p.User)));

    private static MetricFamily List(string name, string list, string meaning) => One("pgbouncer." + name, meaning, s => Sample.Of(s.Lists[list]));
}
