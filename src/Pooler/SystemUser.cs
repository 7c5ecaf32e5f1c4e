using System.Globalization;
using Pooler.Net;

namespace Pooler;

/// <summary>
/// The setting user (-u): whoever starts us as root, for whatever reason, does not leave us so (PgBouncer, lib/usual/daemon.c); and
/// unix_socket_group. Names are not looked up by libc: that loads libraries, which a static binary has none of.
/// </summary>
internal static class SystemUser
{
    public static void ChangeTo(string name)
    {
        string[] entry = Find("/etc/passwd", name, least: 4) ?? throw new StartException($"user = {name}: there is no such user in /etc/passwd");

        int user = int.Parse(entry[2], CultureInfo.InvariantCulture), group = int.Parse(entry[3], CultureInfo.InvariantCulture);
        if (user != Syscalls.EffectiveUid() && Syscalls.ChangeUser(name, user, group) is < 0 and var error)
        {
            throw new StartException($"user = {name}: cannot change to it: {Syscalls.ErrorText(-error)}; start as root, or as that user, or leave it out");
        }
    }

    /// <summary>unix_socket_group, by name or by number.</summary>
    public static void GiveToGroup(string path, string name)
    {
        string[]? entry = Find("/etc/group", name, least: 3);
        if (!int.TryParse(entry?[2] ?? name, NumberStyles.None, CultureInfo.InvariantCulture, out int group))
        {
            throw new StartException($"unix_socket_group = {name}: there is no such group in /etc/group");
        }

        if (Syscalls.SetGroup(path, group) is < 0 and var error)
        {
            throw new StartException($"unix_socket_group = {name}: cannot give {path} to it: {Syscalls.ErrorText(-error)}; the user we run as must be in that group");
        }
    }

    private static string[]? Find(string file, string name, int least) =>
        File.ReadLines(file).Select(static line => line.Split(':')).FirstOrDefault(fields => fields[0] == name && fields.Length >= least);
}
