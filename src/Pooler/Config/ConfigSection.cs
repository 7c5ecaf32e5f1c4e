using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>The names of the sections.</summary>
internal static class ConfigSection
{
    public const string Main = "pgbouncer";

    /// <summary>Our own name for <see cref="Main"/>.</summary>
    public const string MainSynonym = "pooler";

    public const string Databases = "databases";

    public const string Users = "users";

    public const string Peers = "peers";

    /// <summary>Users and secrets from the environment; in files they stand in auth_file.</summary>
    public const string Userlist = "userlist";

    /// <summary>Those of an ini file.</summary>
    public static ImmutableArray<string> All { get; } = [Main, MainSynonym, Databases, Users, Peers];
}
