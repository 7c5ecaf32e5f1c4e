using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// The startup parameter <c>options</c>: command-line arguments for the server process (PostgreSQL documentation, 55.7 Message Formats,
/// StartupMessage). Arguments are parted by blanks; a backslash takes the character behind it as it is. Like PgBouncer we take only those
/// that set a parameter: <c>-c name=value</c>, <c>-cname=value</c> and <c>--name=value</c>.
/// </summary>
public static class StartupOptions
{
    private const string NotAllowed =
        "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";

    /// <summary>Parses the text to settings in the order given; in names <c>-</c> stands for <c>_</c>, as in PostgreSQL.</summary>
    public static bool TryParse(string options, out IReadOnlyList<StartupParameter> settings, out string problem)
    {
        List<StartupParameter> found = [];
        settings = found;
        problem = NotAllowed;
        int at = 0;
        var argument = new StringBuilder();
        while (TryReadArgument(options, ref at, argument))
        {
            string text = argument.ToString();
            string setting;
            if (text == "-c")
            {
                if (!TryReadArgument(options, ref at, argument))
                    return false;
                setting = argument.ToString();
            }
            else if (text.StartsWith("-c", StringComparison.Ordinal) || text.StartsWith("--", StringComparison.Ordinal))
            {
                setting = text[2..];
            }
            else
            {
                return false;
            }

            int equals = setting.IndexOf('=');
            if (equals <= 0)
                return false;
            found.Add(new StartupParameter(setting[..equals].Replace('-', '_'), setting[(equals + 1)..]));
        }

        problem = "";
        return true;
    }

    private static bool TryReadArgument(string options, ref int at, StringBuilder argument)
    {
        argument.Clear();
        while (at < options.Length && IsBlank(options[at]))
            at++;
        if (at == options.Length)
            return false;
        while (at < options.Length && !IsBlank(options[at]))
        {
            // A backslash at the very end stands for nothing.
            if (options[at] == '\\' && ++at == options.Length)
                break;
            argument.Append(options[at++]);
        }

        return true;
    }

    private static bool IsBlank(char c) => c is ' ' or (>= '\t' and <= '\r');
}
