using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// What we know to check clients by. Verifiers derived from plain secrets are kept, with a stable salt; unknown users get a
/// verifier of their own that nothing matches, so that a login tells nobody which users exist.
/// </summary>
internal sealed class Credentials(LiveConfig live)
{
    private const int MaxKept = 10_000;

    private readonly byte[] _seed = RandomNumberGenerator.GetBytes(32);
    private readonly ConcurrentDictionary<(string User, string Secret), ScramVerifier> _derived = new();

    /// <summary>The secret of a user, null when there is no such user; an empty one refuses the login.</summary>
    public string? SecretOf(string user) => live.Current.Secrets.GetValueOrDefault(user);

    /// <summary>
    /// The SCRAM verifier for a login. Deriving costs scram_iterations rounds, the first time: to be called off the I/O threads.
    /// </summary>
    public ScramVerifier VerifierFor(string user)
    {
        string? secret = SecretOf(user);
        int iterations = Math.Max(1, live.Current.Get(Settings.ScramIterations));
        if (string.IsNullOrEmpty(secret) || Md5Password.IsHash(secret))
        {
            return ScramVerifier.Mock(_seed, user, iterations);
        }

        if (ScramVerifier.TryParse(secret, out ScramVerifier? stored))
        {
            return stored;
        }

        if (_derived.TryGetValue((user, secret), out ScramVerifier? verifier) && verifier.Iterations == iterations)
        {
            return verifier;
        }

        if (_derived.Count >= MaxKept)
        {
            _derived.Clear();
        }

        verifier = ScramVerifier.Derive(Encoding.UTF8.GetBytes(secret), SaltFor(user), iterations);
        _derived[(user, secret)] = verifier;
        return verifier;
    }

    /// <summary>Compares a clear-text password with whatever is stored; costs PBKDF2 for a verifier.</summary>
    public bool Matches(string user, byte[] password)
    {
        string? secret = SecretOf(user);
        if (string.IsNullOrEmpty(secret))
        {
            return false;
        }

        if (Md5Password.IsHash(secret))
        {
            return Md5Password.VerifyPassword(secret, password, Encoding.UTF8.GetBytes(user));
        }

        return ScramVerifier.TryParse(secret, out ScramVerifier? stored)
            ? stored.Matches(password)
            : CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(secret), password);
    }

    private byte[] SaltFor(string user) => HMACSHA256.HashData(_seed, Encoding.UTF8.GetBytes(user))[..ScramVerifier.DefaultSaltLength];
}
