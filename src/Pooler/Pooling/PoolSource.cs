using System.Collections.Immutable;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>Turns the configuration in force into a pool's settings and the address of its servers.</summary>
internal sealed class PoolSource(LiveConfig live, ClientKeys keys, FetchedSecrets fetched, Clusters clusters, HostNames names, ServerPasswords passwords)
{
    /// <summary>PgBouncer: with a forced user the minimum is kept before the first client is there.</summary>
    public IEnumerable<DatabaseConfig> KeptWithoutClients => live.Current.Databases.Values.Where(
        d => d.ForcedUser != null && (d.MinPoolSize ?? live.Current.Get(Settings.MinPoolSize)) > 0);

    /// <summary>The hosts that are probed.</summary>
    public IEnumerable<HostAddress> ProbedHosts => clusters.All.SelectMany(static c => c.Config.Hosts);

    /// <summary>Microseconds after which an unused pool of a database is forgotten, and after which the database is with all its pools.</summary>
    public (long OfPool, long OfDatabase) UnusedLimitsOf(string database)
    {
        PoolerConfig config = live.Current;
        return (LimitOf(Settings.PoolIdleTimeout), config.Databases.ContainsKey(database) ? long.MaxValue : LimitOf(Settings.AutoDbIdleTimeout));

        long LimitOf(Setting<TimeSpan> setting) => config.Get(setting) is { Ticks: > 0 } limit ? (long)limit.TotalMicroseconds : long.MaxValue;
    }

    /// <summary>
    /// The entry as it is now: whoever asks for a pool may have looked before a RELOAD, and what reconfigures pools does not see this one.
    /// </summary>
    public DatabaseConfig InForce(DatabaseConfig database) => live.Current.FindDatabase(database.Name) ?? database;

    public void Configure(ServerPool pool, DatabaseConfig database)
    {
        PoolerConfig config = live.Current;
        pool.DatabaseConfig = database;
        pool.Settings = config.Resolve(database, pool.Key.User);
        pool.Target = TargetOf(config, database, pool.Key.User, pool.Settings, pool.Key.Host is { } host ? [host] : database.Hosts);
    }

    /// <summary>The cluster of an entry; null without routing.</summary>
    public HostCluster? ClusterOf(string database) => clusters.Find(database);

    /// <summary>The entry whose pools this one shares.</summary>
    public DatabaseConfig? LenderOf(DatabaseConfig database) => database.SharePools is { } name ? live.Current.FindDatabase(name) : null;

    /// <summary>A server has ended: if that may be the host's doing, its monitors look at once.</summary>
    public void ServerGone(ServerSlot slot, ErrorFields? failure, bool wasLogin)
    {
        if (failure != null && slot.Pool.Key.Host is { } host
            && (slot.Server.WasLost || ServerHealth.IsShutdown(failure) || (wasLogin && ServerHealth.IsOfHost(failure))))
        {
            foreach (HostCluster cluster in clusters.All)
            {
                cluster.ServerLost(host, failure.Message, wasLogin);
            }
        }
    }

    public void ServerOpened(ServerSlot slot)
    {
        if (slot.Pool.Key.Host is { } host)
        {
            foreach (HostCluster cluster in clusters.All)
            {
                cluster.ServerOpened(host);
            }
        }
    }

    /// <summary>After a RELOAD. True when present servers are not what a new one would be and must be replaced.</summary>
    public bool Reconfigure(ServerPool pool)
    {
        // PgBouncer: a removed entry's servers close at release; its clients stay until they leave.
        DatabaseConfig? database = live.Current.FindDatabase(pool.Key.Database);
        pool.IsRemoved = database == null;
        if (database == null)
        {
            return true;
        }

        // PgBouncer: other settings of TLS replace servers, other contents of its files do not.
        bool isSame = pool.DatabaseConfig.ReachesSameServer(database, pool.Key.Host) && pool.Target.Tls?.SettingTexts == live.Current.ServerTls?.SettingTexts;
        Configure(pool, database);
        return !isSame;
    }

    public static SocketOptions SocketOptionsOf(PoolerConfig config) => new(
        config.Get(Settings.TcpKeepAlive),
        config.Get(Settings.TcpKeepCount),
        config.Get(Settings.TcpKeepIdle),
        config.Get(Settings.TcpKeepInterval),
        config.Get(Settings.TcpUserTimeout),
        config.Get(Settings.TcpSocketBuffer));

    /// <summary>Where auth_query runs, as <paramref name="user"/> and with its secret in auth_file, whoever logs in.</summary>
    public ServerTarget TargetOfAuthQuery(DatabaseConfig database, string user)
    {
        PoolerConfig config = live.Current;
        return TargetOf(config, database, user, config.Resolve(database, user), database.Hosts) with
        {
            OwnSecret = config.Secrets.GetValueOrDefault(user),
            PasswordCommand = config.Secrets.ContainsKey(user) ? null : CommandOf(config, database, user),
            Fetched = null,
            ClientKeys = null,
            StartupValues = [new("application_name", "pooler auth_query")],
        };
    }

    private ServerTarget TargetOf(PoolerConfig config, DatabaseConfig database, string user, PoolSettings settings, ImmutableArray<HostAddress> hosts)
    {
        var startup = new List<KeyValuePair<string, string>>();
        Add("client_encoding", database.ClientEncoding);
        Add("datestyle", database.DateStyle);
        Add("timezone", database.TimeZone);
        Add("application_name", database.ApplicationName);
        PasswordCommand? command = CommandOf(config, database, user);
        bool isClients = database.ForcedUser == null && database.Password == null && command == null;
        return new ServerTarget(
            hosts, database.DbName, user, database.Password ?? (command == null ? config.Secrets.GetValueOrDefault(user) : null))
        {
            Entry = database.Name,
            PasswordCommand = command,
            Passwords = passwords,
            Fetched = isClients ? fetched : null,
            LoadBalanceHosts = database.LoadBalanceHosts ?? LoadBalanceHosts.RoundRobin,
            StartupValues = startup,
            // PgBouncer: under a forced user nobody's keys are used, as nobody logs in as that user here.
            ClientKeys = isClients ? keys : null,
            Names = names,
            ConnectTimeout = settings.ServerConnectTimeout,
            Tls = config.ServerTls,
            Options = SocketOptionsOf(config),
            UnixSocketDirectory = config.Get(Settings.UnixSocketDir) is { Length: > 0 } directory ? directory : "/tmp",
        };

        void Add(string name, string? value)
        {
            if (value != null)
            {
                startup.Add(new(name, value));
            }
        }
    }

    private static PasswordCommand? CommandOf(PoolerConfig config, DatabaseConfig database, string user)
    {
        TimeSpan timeout = config.Get(Settings.PasswordCommandTimeout);
        return config.PasswordCommandOf(database) is { } text
            ? new PasswordCommand(text, database.Name, user, timeout > TimeSpan.Zero ? timeout : config.Get(Settings.ServerConnectTimeout), config.Get(Settings.PasswordCommandTtl))
            : null;
    }
}
