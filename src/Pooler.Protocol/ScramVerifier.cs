using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// What is stored of a SCRAM-SHA-256 password, in PostgreSQL's text <c>SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey</c>
/// (PostgreSQL documentation, 52.8 pg_authid; RFC 5803).
/// </summary>
public sealed class ScramVerifier
{
    /// <summary>Iterations PostgreSQL uses unless told otherwise (scram_iterations).</summary>
    public const int DefaultIterations = 4096;

    /// <summary>Bytes of salt PostgreSQL uses.</summary>
    public const int DefaultSaltLength = 16;

    // What HKDF gives at most.
    private const int LongestMockSalt = 255 * SHA256.HashSizeInBytes;

    private const string Prefix = ScramServer.Mechanism + "$";

    private readonly byte[] _salt;
    private readonly byte[] _storedKey;
    private readonly byte[] _serverKey;

    internal ScramVerifier(
        int iterations, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> storedKey, ReadOnlySpan<byte> serverKey, bool isMock = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        ArgumentOutOfRangeException.ThrowIfZero(salt.Length, nameof(salt));
        Iterations = iterations;
        _salt = salt.ToArray();
        _storedKey = storedKey.ToArray();
        _serverKey = serverKey.ToArray();
        IsMock = isMock;
    }

    /// <summary>Iterations of PBKDF2.</summary>
    public int Iterations { get; }

    /// <summary>The salt; at least one byte.</summary>
    public ReadOnlySpan<byte> Salt => _salt;

    /// <summary>True for the verifier of a user we do not know: no password fits it.</summary>
    public bool IsMock { get; }

    internal byte[] StoredKey => _storedKey;

    internal byte[] ServerKey => _serverKey;

    /// <summary>Parses PostgreSQL's text; false for anything else, such as an MD5 hash or a password in clear.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out ScramVerifier? verifier)
    {
        verifier = null;
        if (!text.StartsWith(Prefix, StringComparison.Ordinal))
            return false;
        string[] parts = text[Prefix.Length..].Split('$');
        if (parts.Length != 2)
            return false;
        string[] first = parts[0].Split(':');
        string[] keys = parts[1].Split(':');
        if (first.Length != 2 || keys.Length != 2
            || !ScramReader.TryReadIterations(Encoding.UTF8.GetBytes(first[0]), out int iterations)
            || !ScramReader.TryDecode(Encoding.UTF8.GetBytes(first[1]), out byte[] salt) || salt.Length == 0
            || !ScramReader.TryDecode(Encoding.UTF8.GetBytes(keys[0]), out byte[] storedKey) || storedKey.Length != ScramKeys.KeyLength
            || !ScramReader.TryDecode(Encoding.UTF8.GetBytes(keys[1]), out byte[] serverKey) || serverKey.Length != ScramKeys.KeyLength)
        {
            return false;
        }

        verifier = new ScramVerifier(iterations, salt, storedKey, serverKey);
        return true;
    }

    /// <summary>Derives a verifier from a password; slow, see <see cref="ScramKeys.Derive"/>.</summary>
    public static ScramVerifier Derive(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations = DefaultIterations) =>
        ScramKeys.Derive(password, salt, iterations).ToVerifier(salt, iterations);

    /// <summary>
    /// A verifier for a user that does not exist: the same seed and name always give the same salt, so that an unknown user cannot be
    /// told from a known one by asking twice (PostgreSQL has mock_authentication_nonce for this). Keep the seed secret and as long as
    /// the process lives, and give the iterations real users have.
    /// </summary>
    public static ScramVerifier Mock(
        ReadOnlySpan<byte> seed, string user, int iterations = DefaultIterations, int saltLength = DefaultSaltLength)
    {
        byte[] name = Encoding.UTF8.GetBytes(user);
        byte[] key = HMACSHA256.HashData(seed, [.. "salt "u8, .. name]);
        byte[] salt = saltLength <= key.Length ? key[..saltLength] : HKDF.Expand(HashAlgorithmName.SHA256, key, Math.Min(saltLength, LongestMockSalt), info: []);
        return new ScramVerifier(iterations, salt, key, key, isMock: true); // No proof is good for it, whatever its keys.
    }

    /// <summary>Whether a password in clear text is the one this verifier was made of; slow, see <see cref="ScramKeys.Derive"/>.</summary>
    public bool Matches(ReadOnlySpan<byte> password) => KeysOf(password) != null;

    /// <summary>The keys of the password this verifier was made of, null for any other; slow, see <see cref="ScramKeys.Derive"/>.</summary>
    public ScramKeys? KeysOf(ReadOnlySpan<byte> password)
    {
        ScramKeys keys = ScramKeys.Derive(password, _salt, Iterations);
        bool fits = CryptographicOperations.FixedTimeEquals(SHA256.HashData(keys.ClientKey), _storedKey)
            & CryptographicOperations.FixedTimeEquals(keys.ServerKey, _serverKey)
            & !IsMock;
        return fits ? keys : null;
    }

    /// <summary>PostgreSQL's text. A method of its own, not ToString, because it is a secret that must not slip into a log.</summary>
    public string Format() =>
        $"{Prefix}{Iterations}:{Convert.ToBase64String(_salt)}${Convert.ToBase64String(_storedKey)}:{Convert.ToBase64String(_serverKey)}";
}
