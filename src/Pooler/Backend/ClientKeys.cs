using System.Collections.Concurrent;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// SCRAM pass-through: the keys users have proved themselves with at login, each beside the verifier they fit. With them we log in,
/// now and later, to servers that store the same verifier (as PgBouncer does). They are as good as passwords: kept in memory alone,
/// and only as long as auth_file has that verifier.
/// </summary>
internal sealed class ClientKeys
{
    private readonly ConcurrentDictionary<string, (string Verifier, ScramKeys Keys)> _byUser = new(StringComparer.Ordinal);

    public void Learn(string user, string verifier, ScramKeys keys)
    {
        if (Find(user, verifier) == null)
        {
            _byUser[user] = (verifier, keys);
        }
    }

    /// <summary>The keys that fit this verifier of this user, if anybody has shown them yet.</summary>
    public ScramKeys? Find(string user, string verifier) =>
        _byUser.TryGetValue(user, out (string Verifier, ScramKeys Keys) known) && known.Verifier == verifier ? known.Keys : null;

    /// <summary>After a RELOAD: what belongs to a verifier that is gone or has changed is forgotten.</summary>
    public void Keep(IReadOnlyDictionary<string, string> secrets)
    {
        foreach ((string user, (string Verifier, ScramKeys Keys) known) in _byUser)
        {
            if (secrets.GetValueOrDefault(user) != known.Verifier)
            {
                _byUser.TryRemove(user, out _);
            }
        }
    }
}
