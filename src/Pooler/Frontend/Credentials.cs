using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// What we know to check clients by. Verifiers derived from plain secrets are kept, with a stable salt. A login of a user we do not
/// know is asked, and takes as long, as one of some user we know, always the same: it tells nobody which users exist.
/// </summary>
internal sealed class Credentials(LiveConfig live, ClientKeys keys, FetchedSecrets fetched)
{
    private const int MaxKept = 10_000;

    private readonly byte[] _seed = Syscalls.RandomBytes(32);
    private readonly ConcurrentDictionary<(string User, string Secret), ScramVerifier> _derived = new(), _strangers = new();

    // By user, and the text he is looked up by; null: it is no verifier.
    private readonly ConcurrentDictionary<(string User, string Look), (ScramVerifier Stored, ScramVerifier Mock)?> _parsed = new();

    /// <summary>The secret of a user, null when there is no such user; an empty one refuses the login.</summary>
    public string? SecretOf(string user) => live.Current.Secrets.GetValueOrDefault(user);

    /// <summary>Whether this login is by SCRAM whatever auth_type says: the secret is a verifier, or for a stranger seems to be one.</summary>
    public bool IsVerifier(string user, string? secret) => Parse(user, LookOf(user, secret)) != null;

    /// <summary>The SCRAM verifier for a login, if it has not to be derived first.</summary>
    public ScramVerifier? ReadyVerifierFor(string user, string? secret) => VerifierFor(user, secret, mayDerive: false);

    /// <summary>
    /// The SCRAM verifier for a login. Deriving costs scram_iterations rounds, the first time: to be called off the I/O threads.
    /// </summary>
    public ScramVerifier VerifierFor(string user, string? secret) => VerifierFor(user, secret, mayDerive: true)!;

    private ScramVerifier? VerifierFor(string user, string? secret, bool mayDerive)
    {
        bool isStranger = string.IsNullOrEmpty(secret);
        string look = LookOf(user, secret);
        if (Parse(user, look) is var (stored, strangers))
        {
            return isStranger ? strangers : stored;
        }

        int iterations = Math.Max(1, live.Current.Get(Settings.ScramIterations));
        ScramVerifier mock = ScramVerifier.Mock(_seed, user, iterations);
        if (look.Length == 0 || Md5Password.IsHash(look))
        {
            return mock;
        }

        // A stranger costs what a user with a plain secret costs, who has to be derived once too.
        ConcurrentDictionary<(string, string), ScramVerifier> kept = isStranger ? _strangers : _derived;
        string password = isStranger ? user : look;
        ScramVerifier? derived = FindDerived(kept, user, password, iterations) ?? (mayDerive ? Derive(kept, user, password, mock.Salt, iterations) : null);
        return isStranger && derived != null ? mock : derived;
    }

    /// <summary>After a RELOAD: what belongs to secrets that are gone is not kept.</summary>
    public void Forget()
    {
        _parsed.Clear();
        _derived.Clear();
    }

    /// <summary>A client has proved itself by SCRAM against the verifier that was stored for it.</summary>
    public void Learn(string user, string? secret, ScramKeys? proved)
    {
        if (proved != null && secret != null && Parse(user, secret) != null)
        {
            keys.Learn(user, secret, proved);
        }
    }

    /// <summary>A client has proved itself by what auth_query gave for it: its servers are logged in to with that.</summary>
    public void LearnFetched(DatabaseConfig database, string user, string secret) => fetched.Learn(database.SharePools ?? database.Name, user, secret);

    /// <summary>The same of a password that LDAP or PAM has accepted.</summary>
    public void LearnPassword(DatabaseConfig database, string user, string password) =>
        fetched.LearnPassword(database.SharePools ?? database.Name, user, password);

    /// <summary>Compares a clear-text password with whatever is stored; costs PBKDF2 for a verifier.</summary>
    public bool Matches(string user, string? secret, byte[] password)
    {
        bool isStranger = string.IsNullOrEmpty(secret);
        if (Parse(user, LookOf(user, secret)) is var (stored, strangers))
        {
            ScramKeys? proved = (isStranger ? strangers : stored).KeysOf(password);
            Learn(user, secret, proved);
            return proved != null;
        }

        return !isStranger && (Md5Password.IsHash(secret)
            ? Md5Password.VerifyPassword(secret!, password, Encoding.UTF8.GetBytes(user))
            : CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(secret!), password));
    }

    /// <summary>What a text is as a verifier, and what a stranger is shown in its place: found, or made, in the same time for everybody.</summary>
    private (ScramVerifier Stored, ScramVerifier Mock)? Parse(string user, string look)
    {
        if (_parsed.TryGetValue((user, look), out (ScramVerifier, ScramVerifier)? known))
        {
            return known;
        }

        if (_parsed.Count >= MaxKept)
        {
            _parsed.Clear();
        }

        (ScramVerifier, ScramVerifier)? parsed = ScramVerifier.TryParse(look, out ScramVerifier? stored)
            ? (stored, ScramVerifier.Mock(_seed, user, stored.Iterations, stored.Salt.Length))
            : null;
        return _parsed[(user, look)] = parsed;
    }

    private static ScramVerifier? FindDerived(ConcurrentDictionary<(string, string), ScramVerifier> kept, string user, string secret, int iterations) =>
        kept.TryGetValue((user, secret), out ScramVerifier? verifier) && verifier.Iterations == iterations ? verifier : null;

    private static ScramVerifier Derive(
        ConcurrentDictionary<(string, string), ScramVerifier> kept, string user, string secret, ReadOnlySpan<byte> salt, int iterations)
    {
        if (kept.Count >= MaxKept)
        {
            kept.Clear();
        }

        ScramVerifier verifier = ScramVerifier.Derive(Encoding.UTF8.GetBytes(secret), salt, iterations);
        kept[(user, secret)] = verifier;
        return verifier;
    }

    /// <summary>The secret a login is shaped by: the user's own, for a stranger that of a user chosen by his name; empty if nobody has one.</summary>
    private string LookOf(string user, string? secret)
    {
        uint start = (uint)user.GetHashCode(StringComparison.Ordinal); // By a key of this process: it tells nobody anything, and is the same for each login.
        if (!string.IsNullOrEmpty(secret))
        {
            return secret;
        }

        if (fetched.Sample is { } sample)
        {
            return sample;
        }

        ImmutableArray<string> secrets = live.Current.Secrets.Values;
        for (int i = 0; i < secrets.Length; i++)
        {
            string other = secrets[(int)((start + (uint)i) % (uint)secrets.Length)];
            if (other.Length > 0)
            {
                return other;
            }
        }

        return "";
    }
}
