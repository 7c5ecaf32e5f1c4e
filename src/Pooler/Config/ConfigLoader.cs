namespace Pooler.Config;

/// <summary>
/// Loads the configuration: defaults, then the file, then the environment, which beats the file. Start and RELOAD are the same
/// call; all errors are told at once, where PgBouncer stops at the first and keeps half of a file on RELOAD.
/// </summary>
internal static class ConfigLoader
{
    /// <param name="path">The ini file, or null: the environment alone.</param>
    /// <param name="environment">All variables of the process; those without the prefix POOLER_ are left alone.</param>
    public static ConfigResult Load(string? path, IReadOnlyDictionary<string, string> environment)
    {
        List<ConfigEntry> entries = [];
        List<ConfigError> errors = [];
        if (path is not null) new IniFile(entries, errors).Read(path);
        new ConfigEnvironment(entries, errors).Read(environment);

        ConfigDraft draft = new(errors);
        foreach (ConfigEntry entry in entries) draft.Apply(entry);
        PoolerConfig config = draft.Build(path ?? "");
        if (path is null && config.Databases.Count == 0 && config.AutoDatabase is null)
            errors.Add(new ConfigError("environment", 0, "there is no database: name a configuration file, or set POOLER_DATABASES__name to \"host=…\" or a postgresql:// URL"));
        return new ConfigResult(errors.Count == 0 ? config : null, [.. errors]);
    }
}
