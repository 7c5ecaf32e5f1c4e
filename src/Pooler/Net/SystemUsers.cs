using System.Globalization;

namespace Pooler.Net;

/// <summary>
/// The users and groups of the system. Not by libc: its lookup of names loads libraries, which a static binary has none of. Reads
/// files: not for I/O threads.
/// </summary>
internal static class SystemUsers
{
    private const string PasswordFile = "/etc/passwd", GroupFile = "/etc/group";

    /// <summary>Null when there is none of that name.</summary>
    public static (int User, int Group)? Find(string name) =>
        Entries(PasswordFile, 4).FirstOrDefault(fields => fields[0] == name) is { } entry ? (Number(entry[2]), Number(entry[3])) : null;

    public static string? NameOf(int uid) => uid < 0 ? null : Entries(PasswordFile, 4).FirstOrDefault(fields => Number(fields[2]) == uid)?[0];

    public static int? FindGroup(string name) => Entries(GroupFile, 3).FirstOrDefault(fields => fields[0] == name) is { } entry ? Number(entry[2]) : null;

    /// <summary>-1 when it is none.</summary>
    public static int Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : -1;

    private static IEnumerable<string[]> Entries(string file, int least) =>
        File.ReadLines(file).Select(static line => line.Split(':')).Where(fields => fields.Length >= least);
}
