using System.Globalization;
using Pooler.Net;

namespace Pooler;

/// <summary>The setting user (-u): whoever starts us as root, for whatever reason, does not leave us so (PgBouncer, lib/usual/daemon.c).</summary>
internal static class SystemUser
{
    public static void ChangeTo(string name)
    {
        // Not by libc: its lookup of names loads libraries, which a static binary has none of.
        string[]? entry = File.ReadLines("/etc/passwd").Select(static line => line.Split(':')).FirstOrDefault(fields => fields[0] == name && fields.Length > 3);
        if (entry == null)
        {
            throw new StartException($"user = {name}: there is no such user in /etc/passwd");
        }

        int user = int.Parse(entry[2], CultureInfo.InvariantCulture), group = int.Parse(entry[3], CultureInfo.InvariantCulture);
        if (user != Syscalls.EffectiveUid() && Syscalls.ChangeUser(name, user, group) is < 0 and var error)
        {
            throw new StartException($"user = {name}: cannot change to it: {Syscalls.ErrorText(-error)}; start as root, or as that user, or leave it out");
        }
    }
}
