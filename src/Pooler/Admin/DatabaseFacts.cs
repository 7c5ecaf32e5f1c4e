using Pooler.Config;

namespace Pooler.Admin;

/// <summary>What SHOW DATABASES tells of one database: an entry, one made from the entry *, or the console.</summary>
internal sealed record DatabaseFacts(string Name)
{
    /// <summary>Its hosts, separated by commas; null: the Unix socket.</summary>
    public string? Host { get; private init; }

    public int Port { get; private init; }

    public string DbName { get; private init; } = "";

    public string? ForcedUser { get; private init; }

    public int PoolSize { get; private init; }

    public int MinPoolSize { get; private init; }

    public int ReservePoolSize { get; private init; }

    public TimeSpan ServerLifetime { get; private init; }

    /// <summary>Its own, as it is written; null: that of [pgbouncer].</summary>
    public string? PoolMode { get; private init; }

    public string? LoadBalance { get; private init; }

    public int MaxConnections { get; private init; }

    public int Connections { get; private init; }

    public int MaxClients { get; private init; }

    public int Clients { get; private init; }

    public bool IsPaused { get; private init; }

    public bool IsDisabled { get; private init; }

    /// <summary>All of them, by name. Any thread.</summary>
    public static List<DatabaseFacts> ReadAll(AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        ILookup<string, PoolFacts> pools = PoolFacts.ReadAll(console.Pools).ToLookup(static p => p.Database);
        IEnumerable<string> names = [.. config.Databases.Keys, .. pools.Select(static p => p.Key), PoolerConfig.ConsoleDatabase];
        List<DatabaseFacts> facts = [];
        foreach (string name in names.Distinct().Order(StringComparer.Ordinal))
        {
            if (name == PoolerConfig.ConsoleDatabase)
            {
                facts.Add(OfConsole(console, config));
            }
            else if (config.FindDatabase(name) is { } database)
            {
                facts.Add(Of(config, database, pools[name], console.Pools.IsPaused(name), console.Pools.IsDisabled(name)));
            }
        }

        return facts;
    }

    private static DatabaseFacts Of(PoolerConfig config, DatabaseConfig database, IEnumerable<PoolFacts> pools, bool isPaused, bool isDisabled) => new(database.Name)
    {
        Host = string.Join(',', database.Hosts.Select(static h => h.Name)) is { Length: > 0 } hosts ? hosts : null,
        Port = database.Hosts[0].Port,
        DbName = database.DbName,
        ForcedUser = database.ForcedUser,
        PoolSize = database.PoolSize ?? config.Get(Settings.DefaultPoolSize),
        MinPoolSize = database.MinPoolSize ?? config.Get(Settings.MinPoolSize),
        ReservePoolSize = database.ReservePoolSize ?? config.Get(Settings.ReservePoolSize),
        ServerLifetime = database.ServerLifetime ?? config.Get(Settings.ServerLifetime),
        PoolMode = database.PoolMode is { } mode ? Settings.PoolMode.Format(mode) : null,
        LoadBalance = LoadBalanceOf(database),
        MaxConnections = database.MaxDbConnections ?? config.Get(Settings.MaxDbConnections),
        Connections = pools.Sum(static p => p.Servers),
        MaxClients = database.MaxDbClientConnections ?? config.Get(Settings.MaxDbClientConnections),
        Clients = pools.Sum(static p => p.Clients),
        IsPaused = isPaused,
        IsDisabled = isDisabled,
    };

    /// <summary>Null with a single host, here and in SHOW POOLS.</summary>
    public static string? LoadBalanceOf(DatabaseConfig database) =>
        database.Hosts.Length > 1 ? Settings.LoadBalanceHosts.Format(database.LoadBalanceHosts ?? LoadBalanceHosts.RoundRobin) : null;

    private static DatabaseFacts OfConsole(AdminConsole console, PoolerConfig config) => new(PoolerConfig.ConsoleDatabase)
    {
        Port = config.Get(Settings.ListenPort),
        DbName = PoolerConfig.ConsoleDatabase,
        ForcedUser = PoolerConfig.ConsoleDatabase,
        PoolSize = 2,
        MinPoolSize = config.Get(Settings.MinPoolSize),
        ReservePoolSize = config.Get(Settings.ReservePoolSize),
        ServerLifetime = config.Get(Settings.ServerLifetime),
        PoolMode = "statement",
        MaxConnections = config.Get(Settings.MaxDbConnections),
        MaxClients = config.Get(Settings.MaxDbClientConnections),
        Clients = console.Sessions.Count,
    };
}
