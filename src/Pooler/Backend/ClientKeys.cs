using System.Collections.Concurrent;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// SCRAM pass-through: the keys users have proved themselves with at login, each beside the verifier they fit. With them we log in,
/// now and later, to servers that store the same verifier (as PgBouncer does). They are as good as passwords: kept in memory alone,
/// and only as long as auth_file has that verifier, or auth_query has given it.
/// </summary>
internal sealed class ClientKeys
{
    private readonly ConcurrentDictionary<(string User, string Verifier), ScramKeys> _keys = new();

    public void Learn(string user, string verifier, ScramKeys keys) => _keys[(user, verifier)] = keys;

    /// <summary>The keys that fit this verifier of this user, if anybody has shown them yet.</summary>
    public ScramKeys? Find(string user, string verifier) => _keys.GetValueOrDefault((user, verifier));

    /// <summary>After a RELOAD: what belongs to a verifier that is gone or has changed is forgotten.</summary>
    public void Keep(IReadOnlyDictionary<string, string> secrets, FetchedSecrets fetched)
    {
        HashSet<(string User, string Secret)> pairs = fetched.Pairs();
        foreach ((string user, string verifier) in _keys.Keys)
        {
            if (secrets.GetValueOrDefault(user) != verifier && !pairs.Contains((user, verifier)))
            {
                _keys.TryRemove((user, verifier), out _);
            }
        }
    }
}
