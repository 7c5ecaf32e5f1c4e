using System.Collections.Concurrent;

namespace Pooler.Backend;

/// <summary>
/// The secrets that auth_query has given for users who then proved to be them, and the passwords that LDAP or PAM has accepted, by
/// database entry: servers are logged in to with these.
/// Another entry's servers may know the same name with another secret.
/// </summary>
internal sealed class FetchedSecrets
{
    private readonly ConcurrentDictionary<(string Entry, string User), string> _secrets = new();

    public string? Find(string entry, string user) => _secrets.GetValueOrDefault((entry, user));

    /// <summary>One of them, always the same: what a stranger's login is shaped by; null before there is any.</summary>
    public string? Sample { get; private set; }

    public void Learn(string entry, string user, string secret)
    {
        _secrets[(entry, user)] = secret;
        Sample ??= secret;
    }

    /// <summary>A password that somebody else has accepted; no stranger's login is shaped by it.</summary>
    public void LearnPassword(string entry, string user, string password) => _secrets[(entry, user)] = password;

    public HashSet<(string User, string Secret)> Pairs() => [.. _secrets.Select(static known => (known.Key.User, known.Value))];
}
