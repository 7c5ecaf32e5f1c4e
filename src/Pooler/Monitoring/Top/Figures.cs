using System.Globalization;

namespace Pooler.Monitoring;

/// <summary>Numbers as people read them at a glance; nothing where nothing is known.</summary>
internal static class Figures
{
    private static readonly string[] s_units = ["B", "kB", "MB", "GB", "TB"];

    public static string Count(long? value) => value?.ToString("N0", CultureInfo.InvariantCulture) ?? "";

    /// <summary>So many a second.</summary>
    public static string Rate(double? value) => value is not { } v ? "" : v >= 100 ? Count((long)Math.Round(v)) : Short(v);

    public static string Time(double? microseconds) => microseconds switch
    {
        null => "",
        < 1000 and var us => $"{Math.Round(us)} µs",
        < 1e6 and var us => $"{Short(us / 1e3)} ms",
        < 120e6 and var us => $"{Short(us / 1e6)} s",
        < 7200e6 and var us => $"{(long)(us / 60e6)} min",
        < 172_800e6 and var us => $"{(long)(us / 3600e6)} h",
        var us => $"{(long)(us / 86_400e6)} days",
    };

    public static string Bytes(double? value)
    {
        if (value is not { } v)
        {
            return "";
        }

        int unit = 0;
        for (; v >= 1000 && unit < s_units.Length - 1; unit++)
        {
            v /= 1000;
        }

        return $"{(unit == 0 ? Math.Round(v).ToString(CultureInfo.InvariantCulture) : Short(v))} {s_units[unit]}";
    }

    /// <summary>Three digits that count.</summary>
    private static string Short(double value)
    {
        int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
        return Math.Round(value, decimals).ToString("0.##", CultureInfo.InvariantCulture);
    }
}
