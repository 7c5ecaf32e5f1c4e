using Pooler.Net;

namespace Pooler;

/// <summary>The setting user (-u): whoever starts us as root, for whatever reason, does not leave us so (PgBouncer, lib/usual/daemon.c).</summary>
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
}
