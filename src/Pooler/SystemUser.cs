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
        if (SystemUsers.Find(name) is not (int user, int group))
        {
            throw new StartException($"user = {name}: there is no such user in /etc/passwd");
        }

        if (user != Syscalls.EffectiveUid() && Syscalls.ChangeUser(name, user, group) is < 0 and var error)
        {
            throw new StartException($"user = {name}: cannot change to it: {Syscalls.ErrorText(-error)}; start as root, or as that user, or leave it out");
        }
    }

    /// <summary>unix_socket_group, by name or by number.</summary>
    public static void GiveToGroup(string path, string name)
    {
        if ((SystemUsers.FindGroup(name) ?? SystemUsers.Number(name)) is not (>= 0 and int group))
        {
            throw new StartException($"unix_socket_group = {name}: there is no such group in /etc/group");
        }

        if (Syscalls.SetGroup(path, group) is < 0 and var error)
        {
            throw new StartException($"unix_socket_group = {name}: cannot give {path} to it: {Syscalls.ErrorText(-error)}; the user we run as must be in that group");
        }
    }
}
