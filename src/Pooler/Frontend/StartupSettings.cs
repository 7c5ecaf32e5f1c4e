using System.Collections.Immutable;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Protocol;
using Pooler.Session;

namespace Pooler.Frontend;

/// <summary>What a client's startup packet asks for: followed, ignored, or refused.</summary>
internal static class StartupSettings
{
    private const int LongestName = 63;

    /// <summary>
    /// The parameters to follow, those of <c>options</c> first: the others outdo them, as in PostgreSQL. Null with the sentence for
    /// the client.
    /// </summary>
    public static List<StartupParameter>? Read(StartupPacket packet, PoolerConfig config, out string problem)
    {
        problem = "";
        ImmutableArray<string> ignored = config.Get(Settings.IgnoreStartupParameters), tracked = config.Get(Settings.TrackExtraParameters);
        bool refuses = config.Get(Settings.StartupParameters) == StartupParameterRule.Refuse;
        List<StartupParameter> followed = [];
        foreach (StartupParameter parameter in packet.Parameters)
        {
            if (parameter.Name == "options" && !ReadOptions(parameter.Value, ignored, tracked, refuses, followed, out problem))
            {
                return null;
            }
        }

        foreach (StartupParameter parameter in packet.Parameters)
        {
            bool isProtocols = parameter.Name is "user" or "database" or "replication" or "options"
                || parameter.Name.StartsWith(StartupPacket.ProtocolOptionPrefix, StringComparison.Ordinal);
            if (!isProtocols && !Follow(parameter, ignored, tracked, refuses, followed, ref problem) && !ignored.Contains(parameter.Name))
            {
                problem = problem.Length > 0 ? problem : $"unsupported startup parameter: {parameter.Name}";
                return null;
            }
        }

        return followed;
    }

    private static bool ReadOptions(
        string text, ImmutableArray<string> ignored, ImmutableArray<string> tracked, bool refuses, List<StartupParameter> followed, out string problem)
    {
        bool ignoresUnknown = ignored.Contains("options");
        if (!StartupOptions.TryParse(text, out IReadOnlyList<StartupParameter> options, out problem))
        {
            return ignoresUnknown;
        }

        foreach (StartupParameter option in options)
        {
            if (!Follow(option, ignored, tracked, refuses || ignoresUnknown, followed, ref problem) && !ignored.Contains(option.Name) && !ignoresUnknown)
            {
                problem = problem.Length > 0 ? problem : $"unsupported startup parameter in options: {option.Name}";
                return false;
            }
        }

        return true;
    }

    /// <summary>application_name_add_host: "app - address:port" in the place of the name (PgBouncer's set_appname).</summary>
    public static void AddHost(List<StartupParameter> asked, string address)
    {
        string name = asked.FindLast(IsApplicationName).Value ?? "app";
        asked.RemoveAll(IsApplicationName);
        asked.Add(new StartupParameter("application_name", $"{name} - {address}"));
    }

    private static bool IsApplicationName(StartupParameter parameter) => parameter.Name.Equals("application_name", StringComparison.OrdinalIgnoreCase);

    private static bool Follow(
        StartupParameter parameter, ImmutableArray<string> ignored, ImmutableArray<string> tracked, bool refuses, List<StartupParameter> followed, ref string problem)
    {
        int index = SessionParameters.IndexOf(parameter.Name);
        if (index is >= 0 and < SessionParameters.WellKnown)
        {
            followed.Add(parameter with { Value = SessionParameters.Clean(parameter.Value) });
            return true;
        }

        if (parameter.Name.Equals(PoolerAnswers.RouteName, StringComparison.OrdinalIgnoreCase))
        {
            followed.Add(parameter); // For ourselves.
            return true;
        }

        bool isTracked = tracked.Contains(parameter.Name, StringComparer.OrdinalIgnoreCase);
        if (!isTracked && (refuses || ignored.Contains(parameter.Name)))
        {
            return IsHarmless(parameter.Name);
        }

        if (!IsName(parameter.Name))
        {
            problem = $"unrecognized configuration parameter \"{SessionParameters.Clean(parameter.Name)}\"";
            return false;
        }

        followed.Add(parameter);
        return true;
    }

    /// <summary>It only says how many digits of a float are printed: every JDBC client sends it, and servers default to the best.</summary>
    private static bool IsHarmless(string name) => name.Equals("extra_float_digits", StringComparison.OrdinalIgnoreCase);

    private static bool IsName(string name) =>
        name.Length is > 0 and <= LongestName && name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '$');
}
