using Pooler.Backend;
using Pooler.Config;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>What a client's startup packet asks for, sorted as PgBouncer does: followed, ignored, or refused.</summary>
internal static class StartupSettings
{
    /// <summary>
    /// The tracked settings the client asks for, on top of <see cref="SessionParameters.Empty"/>; null with the sentence for the client.
    /// </summary>
    public static SessionParameters? Read(StartupPacket packet, PoolerConfig config, out string problem)
    {
        problem = "";
        var ignored = config.Get(Settings.IgnoreStartupParameters);
        SessionParameters parameters = SessionParameters.Empty;
        foreach (StartupParameter parameter in packet.Parameters)
        {
            switch (parameter.Name)
            {
                case "user" or "database" or "replication":
                    break;
                case "options":
                    if (!ReadOptions(parameter.Value, ignored, ref parameters, out problem))
                    {
                        return null;
                    }

                    break;
                default:
                    if (!parameter.Name.StartsWith(StartupPacket.ProtocolOptionPrefix, StringComparison.Ordinal)
                        && !Follow(parameter, ref parameters) && !IsHarmless(parameter.Name) && !ignored.Contains(parameter.Name))
                    {
                        problem = $"unsupported startup parameter: {parameter.Name}";
                        return null;
                    }

                    break;
            }
        }

        return parameters;
    }

    private static bool ReadOptions(
        string text, System.Collections.Immutable.ImmutableArray<string> ignored, ref SessionParameters parameters, out string problem)
    {
        bool ignoresUnknown = ignored.Contains("options");
        if (!StartupOptions.TryParse(text, out IReadOnlyList<StartupParameter> options, out problem))
        {
            return ignoresUnknown;
        }

        foreach (StartupParameter option in options)
        {
            if (!Follow(option, ref parameters) && !IsHarmless(option.Name) && !ignored.Contains(option.Name) && !ignoresUnknown)
            {
                problem = $"unsupported startup parameter in options: {option.Name}";
                return false;
            }
        }

        return true;
    }

    private static bool Follow(StartupParameter parameter, ref SessionParameters parameters)
    {
        int index = SessionParameters.IndexOf(parameter.Name);
        if (index >= 0)
        {
            parameters = parameters.With(index, SessionParameters.Clean(parameter.Value), reported: false);
        }

        return index >= 0;
    }

    /// <summary>It only says how many digits of a float are printed: every JDBC client sends it, and servers default to the best.</summary>
    private static bool IsHarmless(string name) => name.Equals("extra_float_digits", StringComparison.OrdinalIgnoreCase);
}
