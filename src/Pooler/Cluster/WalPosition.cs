using System.Globalization;

namespace Pooler.Cluster;

/// <summary>WAL positions as PostgreSQL writes them (pg_lsn): two hexadecimal numbers of 32 bits.</summary>
internal static class WalPosition
{
    public static string Text(long position) => $"{position >> 32:X}/{position & 0xFFFF_FFFF:X}";

    public static long? Parse(string text)
    {
        string[] halves = text.Split('/');
        return halves.Length == 2
            && uint.TryParse(halves[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint high)
            && uint.TryParse(halves[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint low)
            && high <= int.MaxValue // Ours are signed; no server has written that much.
            ? ((long)high << 32) | low
            : null;
    }
}
