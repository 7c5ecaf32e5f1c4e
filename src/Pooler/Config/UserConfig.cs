namespace Pooler.Config;

/// <summary>One entry of [users]. Null means: as the database or the [pgbouncer] section has it.</summary>
internal sealed record UserConfig
{
    public required string Name { get; init; }

    public PoolMode? PoolMode { get; init; }

    public int? PoolSize { get; init; }

    public int? ReservePoolSize { get; init; }

    public int? MaxUserConnections { get; init; }

    public int? MaxUserClientConnections { get; init; }

    public TimeSpan? QueryTimeout { get; init; }

    public TimeSpan? QueryWaitTimeout { get; init; }

    public TimeSpan? IdleTransactionTimeout { get; init; }

    public TimeSpan? TransactionTimeout { get; init; }

    public TimeSpan? ClientIdleTimeout { get; init; }

    public static UserConfig From(string name, SettingValues values) => new()
    {
        Name = name,
        PoolMode = values.Find(Settings.PoolMode),
        PoolSize = values.Find(Settings.PoolSize),
        ReservePoolSize = values.Find(Settings.ReservePoolSize),
        MaxUserConnections = values.Find(Settings.MaxUserConnections),
        MaxUserClientConnections = values.Find(Settings.MaxUserClientConnections),
        QueryTimeout = values.Find(Settings.QueryTimeout),
        QueryWaitTimeout = values.Find(Settings.QueryWaitTimeout),
        IdleTransactionTimeout = values.Find(Settings.IdleTransactionTimeout),
        TransactionTimeout = values.Find(Settings.TransactionTimeout),
        ClientIdleTimeout = values.Find(Settings.ClientIdleTimeout),
    };
}
