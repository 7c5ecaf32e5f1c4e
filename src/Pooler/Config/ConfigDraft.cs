using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Text;

namespace Pooler.Config;

/// <summary>A configuration while its entries are read: a later entry of the same name replaces the earlier one.</summary>
internal sealed class ConfigDraft(List<ConfigError> errors)
{
    /// <summary>Bytes, PgBouncer's MAX_DBNAME without its closing zero; PostgreSQL's names are as long.</summary>
    private const int LongestDatabase = 63;

    /// <summary>In [databases] and [users] PgBouncer takes -1 for "not set".</summary>
    private const string NotSet = "-1";

    private readonly object?[] values = [.. Settings.All.Select(static setting => setting.DefaultValue)];
    private readonly HashSet<Setting> written = [];
    private readonly Dictionary<string, DatabaseConfig> databases = new(StringComparer.Ordinal);
    private readonly Dictionary<string, UserConfig> users = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> ownSecrets = new(StringComparer.Ordinal);
    private readonly SortedDictionary<int, PeerConfig> peers = [];
    private readonly Dictionary<(string Section, string Key), ConfigEntry> seen = [];
    private readonly List<string> warnings = [];

    public void Apply(ConfigEntry entry)
    {
        WarnIfRepeated(entry);
        switch (entry.Section)
        {
            case ConfigSection.Main: ApplyMain(entry); break;
            case ConfigSection.Databases: ApplyDatabase(entry); break;
            case ConfigSection.Users: ApplyUser(entry); break;
            case ConfigSection.Peers: ApplyPeer(entry); break;
            case ConfigSection.Userlist: ApplySecret(entry); break;
        }
    }

    /// <summary>The snapshot; only right if there was no error.</summary>
    public PoolerConfig Build(string filePath)
    {
        if (!written.Contains(Settings.ConfFile) && filePath.Length > 0) values[Settings.ConfFile.Index] = filePath;
        FrozenDictionary<string, string> secrets = ReadSecrets();
        if (peers.Count > 0 && (int)values[Settings.PeerId.Index]! == 0)
            warnings.Add($"[{ConfigSection.Peers}] has no effect without peer_id: cancel requests are not passed on");
        databases.Remove(PoolerConfig.AutoDatabaseName, out DatabaseConfig? auto);
        var config = new PoolerConfig([.. values])
        {
            Databases = databases.ToFrozenDictionary(StringComparer.Ordinal),
            AutoDatabase = auto,
            Users = users.ToFrozenDictionary(StringComparer.Ordinal),
            Peers = peers.ToImmutableSortedDictionary(),
            Secrets = secrets,
            Hba = ReadHba(),
            OAuthJwks = ReadJwks(),
            Warnings = [.. warnings],
            FilePath = filePath,
        };
        CheckClusters(config, filePath);
        CheckLdap(config);
        config = config.WithTls((setting, problem) => Error(setting, problem, filePath));
        if (config.Hba is { WantsCertificates: true } && config.ClientTls is null or { ChecksCertificates: false })
            Error(Settings.AuthHbaFile, "cert and clientcert need client_tls_sslmode and client_tls_ca_file: by whom are certificates signed?", filePath);
        CheckOAuth(config, filePath);
        return config;
    }

    private void ApplyMain(ConfigEntry entry)
    {
        Setting? setting = Settings.Find(entry.Key, SettingScope.Global);
        if (setting is null) Error(entry, UnknownName(entry.Key, SettingScope.Global));
        else if (setting.TryParse(entry.Value, out object? value, out string? problem)) Set(entry, setting, value);
        else Error(entry, problem!);
    }

    private void Set(ConfigEntry entry, Setting setting, object? value)
    {
        values[setting.Index] = value;
        written.Add(setting);
        WarnIfIdle(entry, setting, entry.Key);
    }

    private void ApplyDatabase(ConfigEntry entry)
    {
        if (entry.Key == PoolerConfig.ConsoleDatabase)
            Error(entry, $"database name \"{entry.Key}\" is reserved for the console: choose another one");
        else if (Encoding.UTF8.GetByteCount(entry.Key) > LongestDatabase)
            Error(entry, $"database name \"{entry.Key}\" is too long: at most {LongestDatabase} bytes");
        else if (ParsePairs(entry, SettingScope.Database) is { } own)
            AddDatabase(entry, own);
    }

    private void AddDatabase(ConfigEntry entry, SettingValues own)
    {
        int hosts = own.Find(Settings.Host)?.Length ?? 1;
        bool fits = FitsHosts(entry, Settings.Port.Name, own.Find(Settings.Port)?.Length, hosts)
            & FitsHosts(entry, Settings.Weight.Name, own.Find(Settings.Weight)?.Length, hosts)
            & FitsHosts(entry, Settings.Zone.Name, own.Find(Settings.Zone)?.Length, hosts);
        if (own.Find(Settings.Routing) is not null && own.Find(Settings.TargetSessionAttrs) is not null)
            Error(entry, $"{entry.Key}: target_session_attrs is another word for routing: give one of them");
        else if (own.FindText(Settings.Password) is not null && own.FindText(Settings.PasswordCommand) is not null)
            Error(entry, $"{entry.Key}: password and password_command: give one of them");
        else if (fits)
            databases[entry.Key] = DatabaseConfig.From(entry.Key, own);
    }

    private bool FitsHosts(ConfigEntry entry, string name, int? items, int hosts)
    {
        bool fits = items is null or 1 || items == hosts;
        if (!fits) Error(entry, $"{entry.Key}: {name} has {items} items and host {hosts}: give one {name} for all hosts, or one for each");
        return fits;
    }

    /// <summary>What can be said only when all is read: entries against the defaults of [pgbouncer] and against each other.</summary>
    private void CheckClusters(PoolerConfig config, string filePath)
    {
        foreach (DatabaseConfig database in config.Databases.Values.OrderBy(static d => d.Name, StringComparer.Ordinal))
        {
            if (ClusterProblem(config, database) is not { } problem) continue;
            ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Databases, database.Name));
            errors.Add(new ConfigError(entry?.File ?? filePath, entry?.Line ?? 0, $"{database.Name}: {problem}"));
        }
    }

    private static string? ClusterProblem(PoolerConfig config, DatabaseConfig database)
    {
        int hosts = database.Hosts.Length, weights = config.Get(Settings.Weight).Length;
        bool isRouted = IsRouted(config, database);
        return isRouted && hosts > ClusterConfig.MostHosts ? $"{hosts} hosts: with routing there are at most {ClusterConfig.MostHosts}"
            : isRouted && database.Weights.IsDefault && weights != 1 && weights != hosts
                ? $"weight of [{ConfigSection.Main}] has {weights} items and host {hosts}: give the entry a weight of its own"
            : database.SharePools is { } name && !(isRouted && config.Databases.GetValueOrDefault(name) is { } lender && IsRouted(config, lender)
                    && CanLend(lender, database))
                ? $"share_pools = \"{name}\": both entries need routing, the same host, port, dbname and user, and {name} no share_pools"
            : database.SharePools is { } other && RoutingOf(config, database) == RoutingRule.MultiPrimary != (RoutingOf(config, config.Databases[other]) == RoutingRule.MultiPrimary)
                ? $"share_pools = \"{other}\": with routing = multi_primary subscribers are written to, and only another such entry can share their servers"
            : null;
    }

    private static bool IsRouted(PoolerConfig config, DatabaseConfig database) => RoutingOf(config, database) != RoutingRule.Off;

    private static RoutingRule RoutingOf(PoolerConfig config, DatabaseConfig database) => database.Routing ?? config.Get(Settings.Routing);

    private static bool CanLend(DatabaseConfig lender, DatabaseConfig borrower) => lender.SharePools == null && lender.Name != borrower.Name
        && lender.Hosts.ToHashSet().SetEquals(borrower.Hosts) && lender.DbName == borrower.DbName
        && lender.ForcedUser == borrower.ForcedUser && lender.Password == borrower.Password && lender.PasswordCommand == borrower.PasswordCommand && lender.ConnectQuery == borrower.ConnectQuery;

    private void ApplyUser(ConfigEntry entry)
    {
        if (Encoding.UTF8.GetByteCount(entry.Key) > Userlist.LongestUser)
            Error(entry, $"user name \"{entry.Key}\" is too long: at most {Userlist.LongestUser} bytes");
        else if (ParsePairs(entry, SettingScope.User) is { } own)
            users[entry.Key] = UserConfig.From(entry.Key, own);
    }

    private void ApplySecret(ConfigEntry entry)
    {
        if (Encoding.UTF8.GetByteCount(entry.Key) > Userlist.LongestUser)
            Error(entry, $"user name \"{entry.Key}\" is too long: at most {Userlist.LongestUser} bytes");
        else if (Encoding.UTF8.GetByteCount(entry.Value) > Userlist.LongestSecret)
            Error(entry, $"the secret of \"{entry.Key}\" is longer than {Userlist.LongestSecret} bytes");
        else
            ownSecrets[entry.Key] = entry.Value;
    }

    private void ApplyPeer(ConfigEntry entry)
    {
        if (!ValueKinds.PeerNumber.TryParse(entry.Key, out int id) || id == 0)
            Error(entry, $"\"{entry.Key}\" is no number of a peer: the names in [{ConfigSection.Peers}] are peer_id's, 1 to 16383");
        else if (ParsePairs(entry, SettingScope.Peer) is { } own)
            AddPeer(entry, id, own);
    }

    private void AddPeer(ConfigEntry entry, int id, SettingValues own)
    {
        if (own.FindText(Settings.PeerHost) is { } host && (host.Length == 0 || host[0] is not ('/' or '@') || HostAddress.IsSocketDirectory(host)))
            peers[id] = new PeerConfig(id, new HostAddress(host, own.Find(Settings.PeerPort) ?? PeerConfig.DefaultPort), own.Find(Settings.PoolSize));
        else
            Error(entry, $"{entry.Key}: host is missing, or the directory of a socket of more than 92 bytes: where is the peer?");
    }

    /// <summary>Null if the value cannot be taken apart; a pair that is wrong is an error and left out.</summary>
    private SettingValues? ParsePairs(ConfigEntry entry, SettingScope scope)
    {
        List<KeyValuePair<string, string>> pairs;
        bool isRight = scope == SettingScope.Database && ConnectUrl.IsOne(entry.Value)
            ? ConnectUrl.TryParse(entry.Value, out pairs, out string? problem)
            : ConnectString.TryParse(entry.Value, out pairs, out problem);
        if (!isRight)
        {
            Error(entry, $"{entry.Key}: {problem}");
            return null;
        }

        SettingValues own = new();
        foreach ((string key, string text) in pairs) ApplyPair(entry, scope, own, key, text);
        return own;
    }

    private void ApplyPair(ConfigEntry entry, SettingScope scope, SettingValues own, string key, string text)
    {
        if (Settings.Find(key, scope) is not { } setting)
        {
            Error(entry, $"{entry.Key}: {UnknownName(key, scope)}");
        }
        else if (text != NotSet || !setting.IsNumber)
        {
            if (!setting.TryParse(text, out object? value, out string? problem))
            {
                Error(entry, $"{entry.Key}: {problem}");
                return;
            }

            own.Set(setting, value);
            WarnIfIdle(entry, setting, key);
        }
    }

    private static string UnknownName(string name, SettingScope scope)
    {
        string place = SectionOf(scope);
        foreach (SettingScope other in (SettingScope[])[SettingScope.Global, SettingScope.Database, SettingScope.User, SettingScope.Peer])
        {
            if (other != scope && Settings.Find(name, other) is not null)
                return $"\"{name}\" does not belong in {place} but in {SectionOf(other)}";
        }

        string? nearest = NearestName.Find(name, Settings.Names(scope));
        return $"unknown setting \"{name}\" in {place}: "
            + (nearest is null ? "the names are in docs/settings.md" : $"did you mean {nearest}?");
    }

    private static string SectionOf(SettingScope scope) => scope switch
    {
        SettingScope.Database => $"[{ConfigSection.Databases}]",
        SettingScope.User => $"[{ConfigSection.Users}]",
        SettingScope.Peer => $"[{ConfigSection.Peers}]",
        _ => $"[{ConfigSection.Main}]",
    };

    /// <summary>Those of auth_file, and those of the environment, which beat them.</summary>
    private FrozenDictionary<string, string> ReadSecrets()
    {
        Dictionary<string, string> secrets = ReadAuthFile() ?? new(StringComparer.Ordinal);
        foreach ((string user, string secret) in ownSecrets) secrets[user] = secret;
        return secrets.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private Dictionary<string, string>? ReadAuthFile()
    {
        string? path = (string?)values[Settings.AuthFile.Index];
        if (string.IsNullOrEmpty(path))
        {
            if (ownSecrets.Count == 0) WarnWithoutAuthFile();
            return null;
        }

        if (!TextFile.TryRead(path, out string? text, out string? problem))
        {
            ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, Settings.AuthFile.Name));
            errors.Add(new ConfigError(entry?.File ?? path, entry?.Line ?? 0, $"auth_file: {problem}"));
            return null;
        }

        Dictionary<string, string> secrets = Userlist.Parse(text, out problem);
        if (problem is not null) warnings.Add($"{path}: {problem}");
        return secrets;
    }

    private HbaRules? ReadHba()
    {
        if ((AuthType)values[Settings.AuthType.Index]! != AuthType.Hba) return null;
        string path = (string)values[Settings.AuthHbaFile.Index]!;
        if (path.Length > 0) return HbaRules.Load(path, (string?)values[Settings.AuthIdentFile.Index], errors);
        ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, Settings.AuthType.Name));
        errors.Add(new ConfigError(entry?.File ?? "auth_type", entry?.Line ?? 0, "auth_type = hba needs auth_hba_file: without rules nobody can log in"));
        return null;
    }

    private void CheckLdap(PoolerConfig config)
    {
        if (config.Get(Settings.AuthType) != AuthType.Ldap || config.Get(Settings.AuthLdapOptions) != null) return;
        ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, Settings.AuthType.Name));
        errors.Add(new ConfigError(entry?.File ?? "auth_type", entry?.Line ?? 0, "auth_type = ldap needs auth_ldap_options: without a server nobody can log in"));
    }

    private string? ReadJwks()
    {
        if ((string?)values[Settings.OAuthJwksFile.Index] is not { Length: > 0 } path) return null;
        ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, Settings.OAuthJwksFile.Name));
        if (TextFile.TryRead(path, out string? text, out string? problem) && OAuthConfig.TryReadKeys(text, out _)) return text;
        errors.Add(new ConfigError(entry?.File ?? path, entry?.Line ?? 0, $"oauth_jwks_file: {problem ?? "it is no JSON Web Key Set, or has no key that signatures can be checked with"}"));
        return null;
    }

    private void CheckOAuth(PoolerConfig config, string filePath)
    {
        ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, Settings.AuthType.Name));
        foreach ((string? place, string problem) in OAuthChecks.Problems(config))
            errors.Add(place == null ? new ConfigError(entry?.File ?? filePath, entry?.Line ?? 0, problem) : new ConfigError(place, 0, problem));
    }

    private void WarnWithoutAuthFile()
    {
        AuthType type = (AuthType)values[Settings.AuthType.Index]!;
        if (type is AuthType.Any or AuthType.Trust or AuthType.Ldap or AuthType.Pam or AuthType.OAuth) return;
        string word = Settings.AuthType.Format(type)!;
        warnings.Add($"auth_type is {word} but there is no auth_file: no user is known, so nobody can log in");
    }

    private void WarnIfRepeated(ConfigEntry entry)
    {
        (string, string) place = (entry.Section, entry.Key);
        if (seen.TryGetValue(place, out ConfigEntry? earlier) && entry.Line > 0)
            warnings.Add($"{entry.File}:{entry.Line}: {entry.Key} was given before at {earlier.File}:{earlier.Line}; this one counts");
        seen[place] = entry;
    }

    /// <param name="name">As it was written.</param>
    private void WarnIfIdle(ConfigEntry entry, Setting setting, string name)
    {
        if (setting.Support == Support.Works) return;
        string tail = $"{name} is accepted but has no meaning here";
        if (warnings.Exists(warning => warning.EndsWith(": " + tail, StringComparison.Ordinal))) return;
        warnings.Add(new ConfigError(entry.File, entry.Line, tail).ToString());
    }

    /// <summary>Said of a setting once all are read.</summary>
    private void Error(Setting setting, string problem, string filePath)
    {
        ConfigEntry? entry = seen.GetValueOrDefault((ConfigSection.Main, setting.Name));
        errors.Add(new ConfigError(entry?.File ?? filePath, entry?.Line ?? 0, $"{setting.Name}: {problem}"));
    }

    private void Error(ConfigEntry entry, string message) => errors.Add(new ConfigError(entry.File, entry.Line, message));
}
