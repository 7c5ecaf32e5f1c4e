using System.Collections.Frozen;
using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>Everything that is configured, as one immutable snapshot; RELOAD and SET make another one and swap it.</summary>
internal sealed class PoolerConfig
{
    /// <summary>The database name of the console; no entry can have it, and the entry * does not stand for it.</summary>
    public const string ConsoleDatabase = "pgbouncer";

    /// <summary>The name of the fallback entry.</summary>
    public const string AutoDatabaseName = "*";

    private readonly ImmutableArray<object?> values;
    private readonly FrozenSet<string> adminUsers;
    private readonly FrozenSet<string> statsUsers;

    /// <param name="values">One value per row of <see cref="Settings.All"/>.</param>
    public PoolerConfig(ImmutableArray<object?> values)
    {
        this.values = values;
        adminUsers = Get(Settings.AdminUsers).ToFrozenSet(StringComparer.Ordinal);
        statsUsers = Get(Settings.StatsUsers).ToFrozenSet(StringComparer.Ordinal);
    }

    /// <summary>By the name clients ask for, without the fallback entry.</summary>
    public required IReadOnlyDictionary<string, DatabaseConfig> Databases { get; init; }

    /// <summary>The entry * of [databases], or null.</summary>
    public required DatabaseConfig? AutoDatabase { get; init; }

    /// <summary>The entries of [users]; a user need not have one.</summary>
    public required IReadOnlyDictionary<string, UserConfig> Users { get; init; }

    /// <summary>The entries of [peers] by peer_id, that of this process among them if it is there.</summary>
    public ImmutableSortedDictionary<int, PeerConfig> Peers { get; init; } = ImmutableSortedDictionary<int, PeerConfig>.Empty;

    /// <summary>User to secret, from auth_file. An empty secret refuses the login.</summary>
    public required FrozenDictionary<string, string> Secrets { get; init; }

    /// <summary>What auth_type = hba goes by; null without it: everybody is rejected.</summary>
    public required HbaRules? Hba { get; init; }

    /// <summary>TLS with clients; null: none.</summary>
    public ClientTls? ClientTls { get; private init; }

    /// <summary>TLS with servers; null only where there was an error.</summary>
    public ServerTls? ServerTls { get; private init; }

    /// <summary>What oauth_jwks_file holds; null without it.</summary>
    public string? OAuthJwks { get; init; }

    /// <summary>What the operator should know but what does not stop the start.</summary>
    public required ImmutableArray<string> Warnings { get; init; }

    /// <summary>The file this came from; empty if it was the environment alone.</summary>
    public required string FilePath { get; init; }

    /// <summary>I/O threads to start: <c>workers</c>, or half of the processors, at least one and at most four.</summary>
    public int WorkerCount => Get(Settings.Workers) is > 0 and int count ? count : Math.Clamp(Environment.ProcessorCount / 2, 1, 4);

    /// <summary>cluster_state_file, by default beside the configuration file; null: nothing is kept.</summary>
    public string? ClusterStateFile => Get(Settings.ClusterStateFile) switch
    {
        null => FilePath.Length > 0 ? FilePath + ".state" : null,
        "" => null,
        var path => path,
    };

    /// <summary>The value in the [pgbouncer] section, or the default.</summary>
    public T Get<T>(Setting<T> setting) => (T)values[setting.Index]!;

    /// <summary>The same as SHOW CONFIG prints it.</summary>
    public string? GetText(Setting setting) => setting.IsSecret && values[setting.Index] != null ? "********" : setting.Format(values[setting.Index]);

    /// <summary>Null if there is neither an entry nor a fallback. With the fallback, a fresh record under the asked name.</summary>
    public DatabaseConfig? FindDatabase(string name)
    {
        if (Databases.TryGetValue(name, out DatabaseConfig? database)) return database;
        if (AutoDatabase is null || name == ConsoleDatabase) return null;
        return AutoDatabase with { Name = name, DbName = AutoDatabase.DbName.Length == 0 ? name : AutoDatabase.DbName };
    }

    public bool IsAdmin(string user) => adminUsers.Contains(user);

    public bool IsStatsUser(string user) => statsUsers.Contains(user);

    /// <summary>
    /// The effective values; user beats database beats [pgbouncer] section, as in PgBouncer. For what belongs to the pool ask with
    /// the pool's user (the forced one, if there is one), for a client's timeouts with the user it logged in as.
    /// </summary>
    public PoolSettings Resolve(DatabaseConfig database, string user)
    {
        UserConfig? own = Users.GetValueOrDefault(user);
        int poolSize = own?.PoolSize ?? database.PoolSize ?? Get(Settings.DefaultPoolSize);
        int minPoolSize = database.MinPoolSize ?? Get(Settings.MinPoolSize);
        return new PoolSettings
        {
            Mode = own?.PoolMode ?? database.PoolMode ?? Get(Settings.PoolMode),
            PoolSize = poolSize,
            MinPoolSize = poolSize == 0 ? minPoolSize : Math.Min(minPoolSize, poolSize),
            ReservePoolSize = own?.ReservePoolSize ?? database.ReservePoolSize ?? Get(Settings.ReservePoolSize),
            ReservePoolTimeout = Get(Settings.ReservePoolTimeout),
            MaxDbConnections = database.MaxDbConnections ?? Get(Settings.MaxDbConnections),
            MaxUserConnections = own?.MaxUserConnections ?? Get(Settings.MaxUserConnections),
            MaxHostConnections = Get(Settings.MaxHostConnections),
            QueryTimeout = own?.QueryTimeout ?? Get(Settings.QueryTimeout),
            QueryWaitTimeout = own?.QueryWaitTimeout ?? database.QueryWaitTimeout ?? Get(Settings.QueryWaitTimeout),
            QueryWaitNotify = Get(Settings.QueryWaitNotify),
            IdleTransactionTimeout = own?.IdleTransactionTimeout ?? Get(Settings.IdleTransactionTimeout),
            TransactionTimeout = own?.TransactionTimeout ?? Get(Settings.TransactionTimeout),
            ClientIdleTimeout = own?.ClientIdleTimeout ?? Get(Settings.ClientIdleTimeout),
            ClientWriteTimeout = Get(Settings.ClientWriteTimeout),
            ServerCleanupTimeout = Get(Settings.ServerCleanupTimeout),
            CancelWaitTimeout = Get(Settings.CancelWaitTimeout) is { Ticks: > 0 } wait ? wait : Get(Settings.ServerConnectTimeout),
            ServerLifetime = database.ServerLifetime ?? Get(Settings.ServerLifetime),
            ServerIdleTimeout = Get(Settings.ServerIdleTimeout),
            ServerConnectTimeout = Get(Settings.ServerConnectTimeout),
            ServerLoginRetry = Get(Settings.ServerLoginRetry),
            ServerCheckDelay = Get(Settings.ServerCheckDelay),
            ServerCheckQuery = Get(Settings.ServerCheckQuery),
            ServerResetQuery = Get(Settings.ServerResetQuery),
            ServerResetQueryAlways = Get(Settings.ServerResetQueryAlways),
            ServerFastClose = Get(Settings.ServerFastClose),
            RoundRobin = Get(Settings.ServerRoundRobin),
            MaxPreparedStatements = Get(Settings.MaxPreparedStatements),
            MaxPreparedMemory = Get(Settings.MaxPreparedMemory),
            PreparedStatementWarmUp = Get(Settings.PreparedStatementWarmUp),
            Pin = Get(Settings.Pin),
            ConnectQuery = database.ConnectQuery,
        };
    }

    /// <summary>What prints the password for an entry's server logins; null: the one it has, or that of auth_file, is used.</summary>
    public string? PasswordCommandOf(DatabaseConfig database) =>
        database.Password == null && (database.PasswordCommand ?? Get(Settings.PasswordCommand)) is { Length: > 0 } text ? text : null;

    /// <summary>What OAuth goes by, for all or for a line of auth_hba_file; null: nobody is believed. The keys are oauth_issuer's.</summary>
    public OAuthConfig? OAuthOf(HbaRule? rule)
    {
        string? own = Get(Settings.OAuthIssuer);
        if ((rule?.Issuer ?? own) is not { } issuer)
        {
            return null;
        }

        return new OAuthConfig(issuer, rule?.Scope ?? Get(Settings.OAuthScope), Get(Settings.OAuthAudience), Get(Settings.OAuthUserClaim))
        {
            JwksUrl = issuer == own ? Get(Settings.OAuthJwksUrl) : null,
            Jwks = issuer == own ? OAuthJwks : null,
        };
    }

    /// <summary>How the hosts of an entry are watched and used; null without routing.</summary>
    public ClusterConfig? ClusterOf(DatabaseConfig database)
    {
        RoutingRule routing = database.Routing ?? Get(Settings.Routing);
        if (routing == RoutingRule.Off)
        {
            return null;
        }

        TimeSpan commandTimeout = Get(Settings.PasswordCommandTimeout);
        string monitor = database.MonitorUser ?? Get(Settings.MonitorUser) ?? Get(Settings.AuthUser) ?? database.ForcedUser ?? "postgres";
        return new ClusterConfig
        {
            Name = database.Name,
            Hosts = database.Hosts,
            UnixSocketDirectory = Get(Settings.UnixSocketDir) is { Length: > 0 } directory ? directory : "/tmp",
            DbName = database.DbName,
            Routing = routing,
            MonitorUser = monitor,
            MonitorPassword = (monitor == database.ForcedUser ? database.Password : null) ?? Secrets.GetValueOrDefault(monitor),
            MonitorCommand = PasswordCommandOf(database),
            MonitorCommandTimeout = commandTimeout > TimeSpan.Zero ? commandTimeout : Get(Settings.ServerConnectTimeout),
            MonitorCommandTtl = Get(Settings.PasswordCommandTtl),
            Tls = ServerTls,
            HealthCheckInterval = database.HealthCheckInterval ?? Get(Settings.HealthCheckInterval),
            HealthCheckTimeout = database.HealthCheckTimeout ?? Get(Settings.HealthCheckTimeout),
            MaxReplicaLag = database.MaxReplicaLag ?? Get(Settings.MaxReplicaLag),
            MaxReplicaLagTime = database.MaxReplicaLagTime ?? Get(Settings.MaxReplicaLagTime),
            FailoverHoldTime = database.FailoverHoldTime ?? Get(Settings.FailoverHoldTime),
            FailoverHoldPlace = SettingPlace.Of(this, Settings.FailoverHoldTime, database.Name, ""),
            OnTwoPrimaries = database.OnTwoPrimaries ?? Get(Settings.OnTwoPrimaries),
            ReadAfterWrite = database.ReadAfterWrite ?? Get(Settings.ReadAfterWrite),
            SwitchoverCommand = database.SwitchoverCommand ?? Get(Settings.SwitchoverCommand),
            SwitchoverDrainTime = database.SwitchoverDrainTime ?? Get(Settings.SwitchoverDrainTime),
            LoadBalance = database.LoadBalance ?? Get(Settings.LoadBalance),
            Weights = WeightsOf(database),
            Near = NearOf(database),
            CatalogueRefreshInterval = database.CatalogueRefreshInterval ?? Get(Settings.CatalogueRefreshInterval),
            ReadOnlyFunctions = database.ReadOnlyFunctions.IsDefault ? Get(Settings.ReadOnlyFunctions) : database.ReadOnlyFunctions,
            VolatileFunctions = database.VolatileFunctions.IsDefault ? Get(Settings.VolatileFunctions) : database.VolatileFunctions,
        };
    }

    private ImmutableArray<int> WeightsOf(DatabaseConfig database)
    {
        ImmutableArray<int> weights = database.Weights.IsDefault ? Get(Settings.Weight) : database.Weights;
        return weights.Length == 1 ? [.. database.Hosts.Select(_ => weights[0])] : weights;
    }

    private ulong NearOf(DatabaseConfig database)
    {
        ulong near = 0;
        for (int i = 0; !database.Zones.IsDefault && i < database.Hosts.Length; i++)
        {
            bool isNear = Get(Settings.Zone).Contains(database.Zones[database.Zones.Length == 1 ? 0 : i], StringComparer.Ordinal);
            near |= isNear ? 1ul << i : 0;
        }

        return near;
    }

    /// <summary>The snapshot with one [pgbouncer] value changed (SET); the value comes from the setting's TryParse.</summary>
    public PoolerConfig With(Setting setting, object? value) => Copy(values.SetItem(setting.Index, value));

    /// <summary>
    /// Names of settings that a RELOAD changed in the file but not in the process. PgBouncer ignores them silently; say them.
    /// </summary>
    public static IReadOnlyList<string> RestartOnlyChanges(PoolerConfig running, PoolerConfig loaded) =>
        [.. Settings.All.Where(setting => IsRestartOnlyChange(setting, running, loaded)).Select(static setting => setting.Name)];

    /// <summary>The snapshot to run after a RELOAD: what only a restart can change stays as it runs.</summary>
    public PoolerConfig KeepRestartOnly(PoolerConfig running) =>
        Copy([.. Settings.All.Select(setting => (setting.WhenChanged == WhenChanged.AtRestart ? running : this).values[setting.Index])]);

    // Compared as text: an array of names has no equality of its own.
    private static bool IsRestartOnlyChange(Setting setting, PoolerConfig running, PoolerConfig loaded) =>
        setting.WhenChanged == WhenChanged.AtRestart
        && setting.Format(running.values[setting.Index]) != setting.Format(loaded.values[setting.Index]);

    /// <summary>The snapshot with TLS as its settings and their files say. Reads files.</summary>
    public PoolerConfig WithTls(Action<Setting, string> error) => Copy(values, ClientTls.Load(this, error), ServerTls.Load(this, error));

    private PoolerConfig Copy(ImmutableArray<object?> changed) => Copy(changed, ClientTls, ServerTls);

    private PoolerConfig Copy(ImmutableArray<object?> changed, ClientTls? clientTls, ServerTls? serverTls) => new(changed)
    {
        ClientTls = clientTls,
        ServerTls = serverTls,
        Databases = Databases,
        AutoDatabase = AutoDatabase,
        Users = Users,
        Peers = Peers,
        Secrets = Secrets,
        Hba = Hba,
        OAuthJwks = OAuthJwks,
        Warnings = Warnings,
        FilePath = FilePath,
    };
}
