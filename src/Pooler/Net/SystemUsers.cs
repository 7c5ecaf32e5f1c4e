using System.Globalization;

namespace Pooler.Net;

/// <summary>
/// The users of the system. Not by libc: its lookup of names loads libraries, which a static binary has none of. Reads a file: not for
/// I/O threads.
/// </summary>
internal static class SystemUsers
{
    private const string PasswordFile = "/etc/passwd";

    /// <summary>Null when there is none of that name.</summary>
    public static (int User, int Group)? Find(string name) =>
        Entries().FirstOrDefault(fields => fields[0] == name) is { } entry ? (Number(entry[2]), Number(entry[3])) : null;

    public static string? NameOf(int uid) => uid < 0 ? null : Entries().FirstOrDefault(fields => Number(fields[2]) == uid)?[0];

    private static IEnumerable<string[]> Entries() => File.ReadLines(PasswordFile).Select(static line => line.Split(':')).Where(static fields => fields.Length > 3);

    private static int Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : -1;
}
