using System.Globalization;

namespace Pooler.LoadGenerator;

/// <summary>The command line after the command: <c>--name value</c> pairs. A name nobody asked for is an error.</summary>
internal sealed class Options
{
    private readonly Dictionary<string, string> _given = [];

    public Options(ReadOnlySpan<string> arguments)
    {
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == arguments.Length)
            {
                throw new LoadException($"expected --name value at {arguments[i]}");
            }

            _given[arguments[i][2..]] = arguments[i + 1];
        }
    }

    public string Text(string name, string standard) => _given.Remove(name, out string? value) ? value : standard;

    public int Number(string name, int standard) =>
        int.TryParse(Text(name, $"{standard}"), CultureInfo.InvariantCulture, out int value) && value >= 0 ? value : throw NotANumber(name);

    /// <summary>A duration given in seconds, in nanoseconds.</summary>
    public long Seconds(string name, double standard) =>
        double.TryParse(Text(name, standard.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture, out double value) && value >= 0
            ? (long)(value * 1e9)
            : throw NotANumber(name);

    /// <summary>To be called when all options were asked for.</summary>
    public void EndOfOptions()
    {
        if (_given.Count > 0)
        {
            throw new LoadException($"unknown option --{_given.Keys.First()}");
        }
    }

    private static LoadException NotANumber(string name) => new($"--{name} wants a number from 0 up");
}
