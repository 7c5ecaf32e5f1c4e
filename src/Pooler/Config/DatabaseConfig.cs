using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>One entry of [databases]. Null means: as the [pgbouncer] section has it.</summary>
internal sealed record DatabaseConfig
{
    /// <summary>The name clients ask for; * in the fallback entry.</summary>
    public required string Name { get; init; }

    /// <summary>The name on the server. Empty only in the fallback entry: there it is the name the client asked for.</summary>
    public required string DbName { get; init; }

    /// <summary>Where its servers are, at least one.</summary>
    public ImmutableArray<HostAddress> Hosts { get; init; } = [new("", Settings.Port.Default[0])];

    /// <summary>Which of several hosts a new server goes to.</summary>
    public LoadBalanceHosts? LoadBalanceHosts { get; init; }

    /// <summary>If set, all clients share one pool under this user.</summary>
    public string? ForcedUser { get; init; }

    /// <summary>The forced user's password; null: the one in auth_file.</summary>
    public string? Password { get; init; }

    /// <summary>What prints the password for server logins.</summary>
    public string? PasswordCommand { get; init; }

    /// <summary>Sent to each new server.</summary>
    public string? ConnectQuery { get; init; }

    /// <summary>Who runs <see cref="AuthQuery"/>.</summary>
    public string? AuthUser { get; init; }

    public string? AuthQuery { get; init; }

    /// <summary>The entry in whose database it runs; null: its own.</summary>
    public string? AuthDbName { get; init; }

    public RoutingRule? Routing { get; init; }

    /// <summary>The entry whose servers its clients use.</summary>
    public string? SharePools { get; init; }

    public LoadBalanceRule? LoadBalance { get; init; }

    public ReadAfterWrite? ReadAfterWrite { get; init; }

    public string? SwitchoverCommand { get; init; }

    public TimeSpan? SwitchoverDrainTime { get; init; }

    /// <summary>One for all hosts, or one for each; default: as the [pgbouncer] section has it.</summary>
    public ImmutableArray<int> Weights { get; init; }

    /// <summary>Where the hosts are; default: nobody knows.</summary>
    public ImmutableArray<string> Zones { get; init; }

    public string? MonitorUser { get; init; }

    public TimeSpan? HealthCheckInterval { get; init; }

    public TimeSpan? HealthCheckTimeout { get; init; }

    public long? MaxReplicaLag { get; init; }

    public TimeSpan? MaxReplicaLagTime { get; init; }

    public TimeSpan? CatalogueRefreshInterval { get; init; }

    /// <summary>Default: as the [pgbouncer] section has it; the next one too.</summary>
    public ImmutableArray<string> ReadOnlyFunctions { get; init; }

    public ImmutableArray<string> VolatileFunctions { get; init; }

    public TimeSpan? FailoverHoldTime { get; init; }

    public TwoPrimariesRule? OnTwoPrimaries { get; init; }

    public PoolMode? PoolMode { get; init; }

    public int? PoolSize { get; init; }

    public int? MinPoolSize { get; init; }

    public int? ReservePoolSize { get; init; }

    public int? MaxDbConnections { get; init; }

    public int? MaxDbClientConnections { get; init; }

    public TimeSpan? ServerLifetime { get; init; }

    public TimeSpan? QueryWaitTimeout { get; init; }

    /// <summary>Startup parameter for the servers, as the next three.</summary>
    public string? ClientEncoding { get; init; }

    public string? DateStyle { get; init; }

    public string? TimeZone { get; init; }

    public string? ApplicationName { get; init; }

    public static DatabaseConfig From(string name, SettingValues values) => new()
    {
        Name = name,
        DbName = values.FindText(Settings.DbName) ?? (name == PoolerConfig.AutoDatabaseName ? "" : name),
        Hosts = HostsOf(values.Find(Settings.Host) ?? [""], values.Find(Settings.Port) ?? Settings.Port.Default),
        LoadBalanceHosts = values.Find(Settings.LoadBalanceHosts),
        ForcedUser = values.FindText(Settings.ForcedUser),
        Password = values.FindText(Settings.Password),
        PasswordCommand = values.FindText(Settings.PasswordCommand),
        ConnectQuery = values.FindText(Settings.ConnectQuery),
        AuthUser = values.FindText(Settings.AuthUser),
        AuthQuery = values.FindText(Settings.AuthQuery),
        AuthDbName = values.FindText(Settings.AuthDbName),
        Routing = values.Find(Settings.Routing) ?? RoutingOf(values.Find(Settings.TargetSessionAttrs)),
        SharePools = values.FindText(Settings.SharePools),
        LoadBalance = values.Find(Settings.LoadBalance),
        ReadAfterWrite = values.Find(Settings.ReadAfterWrite),
        SwitchoverCommand = values.FindText(Settings.SwitchoverCommand),
        SwitchoverDrainTime = values.Find(Settings.SwitchoverDrainTime),
        Weights = values.Find(Settings.Weight) ?? default,
        Zones = values.Find(Settings.Zone) ?? default,
        MonitorUser = values.FindText(Settings.MonitorUser),
        HealthCheckInterval = values.Find(Settings.HealthCheckInterval),
        HealthCheckTimeout = values.Find(Settings.HealthCheckTimeout),
        MaxReplicaLag = values.Find(Settings.MaxReplicaLag),
        MaxReplicaLagTime = values.Find(Settings.MaxReplicaLagTime),
        CatalogueRefreshInterval = values.Find(Settings.CatalogueRefreshInterval),
        ReadOnlyFunctions = values.Find(Settings.ReadOnlyFunctions) ?? default,
        VolatileFunctions = values.Find(Settings.VolatileFunctions) ?? default,
        FailoverHoldTime = values.Find(Settings.FailoverHoldTime),
        OnTwoPrimaries = values.Find(Settings.OnTwoPrimaries),
        PoolMode = values.Find(Settings.PoolMode),
        PoolSize = values.Find(Settings.PoolSize),
        MinPoolSize = values.Find(Settings.MinPoolSize),
        ReservePoolSize = values.Find(Settings.ReservePoolSize),
        MaxDbConnections = values.Find(Settings.MaxDbConnections),
        MaxDbClientConnections = values.Find(Settings.MaxDbClientConnections),
        ServerLifetime = values.Find(Settings.ServerLifetime),
        QueryWaitTimeout = values.Find(Settings.QueryWaitTimeout),
        ClientEncoding = values.FindText(Settings.ClientEncoding),
        DateStyle = values.FindText(Settings.DateStyle),
        TimeZone = values.FindText(Settings.TimeZone),
        ApplicationName = values.FindText(Settings.ApplicationName),
    };

    /// <summary>
    /// False if servers of the other entry must be replaced at a RELOAD. The fields are those PgBouncer compares (src/loader.c,
    /// parse_database), except that losing a forced user counts too; there PgBouncer keeps the old user. <paramref name="host"/>: the
    /// one host they are on, of a pool by host.
    /// </summary>
    public bool ReachesSameServer(DatabaseConfig other, HostAddress? host) =>
        (host is { } own ? other.Hosts.Contains(own) : Hosts.SequenceEqual(other.Hosts) && LoadBalanceHosts == other.LoadBalanceHosts) && DbName == other.DbName
        && ForcedUser == other.ForcedUser && ConnectQuery == other.ConnectQuery;

    private static RoutingRule? RoutingOf(TargetSessionAttrs? attrs) => attrs switch
    {
        TargetSessionAttrs.Any => RoutingRule.Off,
        TargetSessionAttrs.ReadWrite or TargetSessionAttrs.Primary => RoutingRule.Primary,
        TargetSessionAttrs.ReadOnly or TargetSessionAttrs.Standby => RoutingRule.Replica,
        TargetSessionAttrs.PreferStandby => RoutingRule.PreferReplica,
        _ => null,
    };

    // As in libpq: one port for all hosts, or each its own; the numbers were compared when the entry was read.
    private static ImmutableArray<HostAddress> HostsOf(ImmutableArray<string> names, ImmutableArray<int> ports) =>
        [.. names.Select((name, i) => new HostAddress(name, ports[ports.Length == 1 ? 0 : i]))];

    /// <summary>The name alone: a record would print the password.</summary>
    public override string ToString() => Name;
}
