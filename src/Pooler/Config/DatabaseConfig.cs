namespace Pooler.Config;

/// <summary>One entry of [databases]. Null means: as the [pgbouncer] section has it.</summary>
internal sealed record DatabaseConfig
{
    /// <summary>The name clients ask for; * in the fallback entry.</summary>
    public required string Name { get; init; }

    /// <summary>The name on the server. Empty only in the fallback entry: there it is the name the client asked for.</summary>
    public required string DbName { get; init; }

    /// <summary>A name, an address, a socket directory (/…, @… for abstract), or empty: the socket in unix_socket_dir.</summary>
    public string Host { get; init; } = "";

    /// <summary>TCP port, also in the name of the Unix socket.</summary>
    public int Port { get; init; } = Settings.Port.Default;

    /// <summary>If set, all clients share one pool under this user.</summary>
    public string? ForcedUser { get; init; }

    /// <summary>The forced user's password; null: the one in auth_file.</summary>
    public string? Password { get; init; }

    /// <summary>Sent to each new server.</summary>
    public string? ConnectQuery { get; init; }

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

    /// <summary>Whether servers are reached over a Unix socket.</summary>
    public bool IsUnixSocket => Host.Length == 0 || Host[0] is '/' or '@';

    public static DatabaseConfig From(string name, SettingValues values) => new()
    {
        Name = name,
        DbName = values.FindText(Settings.DbName) ?? (name == PoolerConfig.AutoDatabaseName ? "" : name),
        Host = values.FindText(Settings.Host) ?? "",
        Port = values.Find(Settings.Port) ?? Settings.Port.Default,
        ForcedUser = values.FindText(Settings.ForcedUser),
        Password = values.FindText(Settings.Password),
        ConnectQuery = values.FindText(Settings.ConnectQuery),
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
    /// parse_database), except that losing a forced user counts too; there PgBouncer keeps the old user.
    /// </summary>
    public bool ReachesSameServer(DatabaseConfig other) =>
        Host == other.Host && Port == other.Port && DbName == other.DbName
        && ForcedUser == other.ForcedUser && ConnectQuery == other.ConnectQuery;

    /// <summary>The name alone: a record would print the password.</summary>
    public override string ToString() => Name;
}
