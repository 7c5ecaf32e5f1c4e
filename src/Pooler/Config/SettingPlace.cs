namespace Pooler.Config;

/// <summary>The value of a setting that was in force for somebody, and where it stands: what an error's hint begins with.</summary>
internal readonly record struct SettingPlace(string Name, string? Value, string Where)
{
    /// <summary>For a client: its user's entry beats its database's, and that one the [pgbouncer] section.</summary>
    public static SettingPlace Of(PoolerConfig config, Setting setting, string database, string user)
    {
        if (OfUser(config.Users.GetValueOrDefault(user), setting) is { } own)
        {
            return new(setting.Name, setting.Format(own), $"entry \"{user}\" of [users]");
        }

        if (OfDatabase(config.FindDatabase(database), setting) is { } ofDatabase)
        {
            string entry = config.Databases.ContainsKey(database) ? database : PoolerConfig.AutoDatabaseName;
            return new(setting.Name, setting.Format(ofDatabase), $"entry \"{entry}\" of [databases]");
        }

        return Of(config, setting);
    }

    /// <summary>For everybody.</summary>
    public static SettingPlace Of(PoolerConfig config, Setting setting) => Global(setting, config.GetText(setting));

    /// <summary>For everybody, where the value is known and not where it comes from.</summary>
    public static SettingPlace Global(Setting setting, string? value) => new(setting.Name, value, value == setting.DefaultText ? "[pgbouncer], the default" : "[pgbouncer]");

    public override string ToString() => $"{Name} = {Value} ({Where})";

    private static object? OfUser(UserConfig? user, Setting setting) => user == null ? null
        : setting == Settings.QueryTimeout ? user.QueryTimeout
        : setting == Settings.QueryWaitTimeout ? user.QueryWaitTimeout
        : setting == Settings.IdleTransactionTimeout ? user.IdleTransactionTimeout
        : setting == Settings.TransactionTimeout ? user.TransactionTimeout
        : setting == Settings.ClientIdleTimeout ? user.ClientIdleTimeout
        : setting == Settings.MaxUserClientConnections ? user.MaxUserClientConnections
        : setting == Settings.PoolMode ? user.PoolMode
        : null;

    private static object? OfDatabase(DatabaseConfig? database, Setting setting) => database == null ? null
        : setting == Settings.QueryWaitTimeout ? database.QueryWaitTimeout
        : setting == Settings.MaxDbClientConnections ? database.MaxDbClientConnections
        : setting == Settings.FailoverHoldTime ? database.FailoverHoldTime
        : setting == Settings.ReadAfterWrite ? database.ReadAfterWrite
        : setting == Settings.PoolMode ? database.PoolMode
        : null;
}
