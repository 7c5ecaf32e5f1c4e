using System.Globalization;
using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW DATABASES (src/admin.c, admin_show_databases): the entries, the databases made from the entry *, and the console.</summary>
internal sealed class ShowDatabases() : ShowCommand(
    Text("name"), Text("host"), Int4("port"), Text("database"), Text("force_user"), Int4("pool_size"), Int4("min_pool_size"),
    Int4("reserve_pool_size"), Int4("server_lifetime"), Text("pool_mode"), Text("load_balance_hosts"), Int4("max_connections"),
    Int4("current_connections"), Int4("max_client_connections"), Int4("current_client_connections"), Int4("paused"), Int4("disabled"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        ILookup<string, PoolFacts> pools = PoolFacts.ReadAll(console.Pools).ToLookup(static p => p.Database);
        IEnumerable<string> names = [.. config.Databases.Keys, .. pools.Select(static p => p.Key), PoolerConfig.ConsoleDatabase];
        foreach (string name in names.Distinct().Order(StringComparer.Ordinal))
        {
            if (name == PoolerConfig.ConsoleDatabase)
            {
                AddOwn(table, console, config);
            }
            else if (config.FindDatabase(name) is { } database)
            {
                Add(table, config, database, pools[name], console.Pools.IsPaused(name), console.Pools.IsDisabled(name));
            }
        }
    }

    private static void Add(Table table, PoolerConfig config, DatabaseConfig database, IEnumerable<PoolFacts> pools, bool isPaused, bool isDisabled) => table.Add(
        database.Name,
        string.Join(',', database.Hosts.Select(static h => h.Name)) is { Length: > 0 } hosts ? hosts : null,
        $"{database.Hosts[0].Port}",
        database.DbName,
        database.ForcedUser,
        $"{database.PoolSize ?? config.Get(Settings.DefaultPoolSize)}",
        $"{database.MinPoolSize ?? config.Get(Settings.MinPoolSize)}",
        $"{database.ReservePoolSize ?? config.Get(Settings.ReservePoolSize)}",
        WholeSeconds(database.ServerLifetime ?? config.Get(Settings.ServerLifetime)),
        database.PoolMode is { } mode ? Settings.PoolMode.Format(mode) : null,
        LoadBalanceOf(database),
        $"{database.MaxDbConnections ?? config.Get(Settings.MaxDbConnections)}",
        $"{pools.Sum(static p => p.Servers)}",
        $"{database.MaxDbClientConnections ?? config.Get(Settings.MaxDbClientConnections)}",
        $"{pools.Sum(static p => p.Clients)}",
        isPaused ? "1" : "0",
        isDisabled ? "1" : "0");

    /// <summary>Null with a single host, here and in SHOW POOLS.</summary>
    public static string? LoadBalanceOf(DatabaseConfig database) =>
        database.Hosts.Length > 1 ? Settings.LoadBalanceHosts.Format(database.LoadBalanceHosts ?? LoadBalanceHosts.RoundRobin) : null;

    private static void AddOwn(Table table, AdminConsole console, PoolerConfig config) => table.Add(
        PoolerConfig.ConsoleDatabase, null, $"{config.Get(Settings.ListenPort)}", PoolerConfig.ConsoleDatabase, PoolerConfig.ConsoleDatabase,
        "2", $"{config.Get(Settings.MinPoolSize)}", $"{config.Get(Settings.ReservePoolSize)}", WholeSeconds(config.Get(Settings.ServerLifetime)), "statement", null,
        $"{config.Get(Settings.MaxDbConnections)}", "0", $"{config.Get(Settings.MaxDbClientConnections)}", $"{console.Sessions.Count}", "0", "0");

    private static string WholeSeconds(TimeSpan time) => ((long)time.TotalSeconds).ToString(CultureInfo.InvariantCulture);
}
