namespace Pooler.Config;

/// <summary>
/// The values that hold for one pool and its clients, after user, database and [pgbouncer] section have had their say
/// (<see cref="PoolerConfig.Resolve"/>). Zero switches a timeout or a limit off, except where a line says otherwise.
/// </summary>
internal sealed record PoolSettings
{
    public required PoolMode Mode { get; init; }

    /// <summary>Most servers.</summary>
    public required int PoolSize { get; init; }

    /// <summary>Servers kept open; never more than <see cref="PoolSize"/>.</summary>
    public required int MinPoolSize { get; init; }

    /// <summary>Servers beyond <see cref="PoolSize"/>; zero: none.</summary>
    public required int ReservePoolSize { get; init; }

    /// <summary>The wait that opens the reserve; zero: it stays closed.</summary>
    public required TimeSpan ReservePoolTimeout { get; init; }

    public required int MaxDbConnections { get; init; }

    public required int MaxUserConnections { get; init; }

    /// <summary>Most servers on one host.</summary>
    public required int MaxHostConnections { get; init; }

    /// <summary>Whether other pools' servers count against a limit of this pool's.</summary>
    public bool HasSharedCap => MaxDbConnections > 0 || MaxUserConnections > 0 || MaxHostConnections > 0;

    public required TimeSpan QueryTimeout { get; init; }

    public required TimeSpan QueryWaitTimeout { get; init; }

    public required TimeSpan QueryWaitNotify { get; init; }

    public required TimeSpan IdleTransactionTimeout { get; init; }

    public required TimeSpan TransactionTimeout { get; init; }

    public required TimeSpan ClientIdleTimeout { get; init; }

    public required TimeSpan ClientWriteTimeout { get; init; }

    public required TimeSpan ServerCleanupTimeout { get; init; }

    /// <summary>The limit of a CancelRequest to a server; without one of its own it is that of a connect.</summary>
    public required TimeSpan CancelWaitTimeout { get; init; }

    /// <summary>Zero: a server is used once.</summary>
    public required TimeSpan ServerLifetime { get; init; }

    public required TimeSpan ServerIdleTimeout { get; init; }

    public required TimeSpan ServerConnectTimeout { get; init; }

    public required TimeSpan ServerLoginRetry { get; init; }

    /// <summary>Zero: a server is checked before every use.</summary>
    public required TimeSpan ServerCheckDelay { get; init; }

    /// <summary>As written: <see cref="EmptyCheckQuery"/> sends an empty query, an empty text means no check.</summary>
    public required string ServerCheckQuery { get; init; }

    /// <summary>Empty: nothing is sent.</summary>
    public required string ServerResetQuery { get; init; }

    /// <summary>Whether <see cref="ServerResetQuery"/> is sent in every pool mode, not in session mode alone.</summary>
    public required bool ServerResetQueryAlways { get; init; }

    /// <summary>A server to be replaced is not left to the client that keeps it.</summary>
    public required bool ServerFastClose { get; init; }

    /// <summary>Lend the server idle longest; otherwise the one used last.</summary>
    public required bool RoundRobin { get; init; }

    /// <summary>Prepared statements kept per server; zero: not tracked, a client that names one keeps its server.</summary>
    public required int MaxPreparedStatements { get; init; }

    public required long MaxPreparedMemory { get; init; }

    /// <summary>Statements that a new server is given before its first client; zero: none.</summary>
    public required int PreparedStatementWarmUp { get; init; }

    public required PinRule Pin { get; init; }

    public required string? ConnectQuery { get; init; }

    /// <summary>PgBouncer's word for "send an empty query" in server_check_query.</summary>
    public const string EmptyCheckQuery = "<empty>";
}
