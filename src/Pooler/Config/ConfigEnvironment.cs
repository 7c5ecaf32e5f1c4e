namespace Pooler.Config;

/// <summary>
/// Reads the POOLER_ variables into entries: POOLER_LISTEN_PORT=6432 is listen_port, POOLER_DATABASES__app="host=…" an entry of
/// [databases], POOLER_USERS__app="…" one of [users], POOLER_PEERS__2="…" one of [peers], POOLER_USERLIST__app="secret" a user as a line of auth_file is.
/// With _FILE at its end a variable names a file that holds the value, so that secrets stay out of the environment; a setting whose own name
/// ends that way (POOLER_AUTH_FILE) is that setting.
/// </summary>
internal sealed class ConfigEnvironment(List<ConfigEntry> entries, List<ConfigError> errors)
{
    public const string Prefix = "POOLER_";

    private const string FileSuffix = "_FILE";

    private static readonly (string Prefix, string Section)[] Entries =
        [("DATABASES__", ConfigSection.Databases), ("USERS__", ConfigSection.Users), ("PEERS__", ConfigSection.Peers), ("USERLIST__", ConfigSection.Userlist)];

    public void Read(IReadOnlyDictionary<string, string> environment)
    {
        foreach ((string name, string value) in environment.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal)) continue;
            string suffix = name[Prefix.Length..];
            if (!IsNotOurs(suffix, value)) ReadVariable(name, suffix, value);
        }
    }

    /// <summary>
    /// POOLER_BINARY and POOLER_TEST_… steer the tests. Kubernetes puts the address of every service into the environment of every
    /// pod; for one called "pooler" these are POOLER_SERVICE_HOST, POOLER_SERVICE_PORT… and POOLER_PORT…=tcp://….
    /// </summary>
    private static bool IsNotOurs(string suffix, string value) =>
        suffix is "BINARY" or "SERVICE_HOST"
        || suffix.StartsWith("TEST_", StringComparison.Ordinal)
        || suffix.StartsWith("SERVICE_PORT", StringComparison.Ordinal)
        || suffix.StartsWith("PORT_", StringComparison.Ordinal)
        || (suffix == "PORT" && value.Contains("://", StringComparison.Ordinal));

    private void ReadVariable(string name, string suffix, string value)
    {
        string source = "environment variable " + name;
        if (FindSetting(suffix) is { } setting)
        {
            Add(source, ConfigSection.Main, setting.Name, value);
        }
        else if (suffix.EndsWith(FileSuffix, StringComparison.Ordinal) && FindPlace(suffix[..^FileSuffix.Length]) is var (section, key))
        {
            if (TextFile.TryRead(value, out string? text, out string? problem)) Add(source, section, key, text.TrimEnd('\r', '\n'));
            else errors.Add(new ConfigError(source, 0, problem));
        }
        else if (FindPlace(suffix) is var (entrySection, entryKey))
        {
            Add(source, entrySection, entryKey, value);
        }
        else
        {
            errors.Add(new ConfigError(source, 0, UnknownMessage(suffix)));
        }
    }

    private static (string Section, string Key)? FindPlace(string suffix)
    {
        if (FindSetting(suffix) is { } setting) return (ConfigSection.Main, setting.Name);
        foreach ((string prefix, string section) in Entries)
        {
            if (suffix.Length > prefix.Length && suffix.StartsWith(prefix, StringComparison.Ordinal))
                return (section, suffix[prefix.Length..]);
        }

        return null;
    }

    private static Setting? FindSetting(string suffix) =>
        suffix.Any(char.IsAsciiLetterLower) ? null : Settings.Find(suffix.ToLowerInvariant(), SettingScope.Global);

    private static string UnknownMessage(string suffix)
    {
        string? nearest = NearestName.Find(suffix, Settings.Names(SettingScope.Global));
        return nearest is null
            ? $"no such setting: after {Prefix} comes the name of a [{ConfigSection.Main}] setting in capitals, DATABASES__x, USERS__x, USERLIST__x or PEERS__n"
            : $"no such setting: did you mean {Prefix}{nearest.ToUpperInvariant()}?";
    }

    private void Add(string source, string section, string key, string value) =>
        entries.Add(new ConfigEntry(source, 0, section, key, section == ConfigSection.Userlist ? value : value.Trim()));
}
