using System.Security.Cryptography;

namespace Pooler.Protocol;

/// <summary>
/// ClientKey and ServerKey of RFC 5802 section 3: with them a client can log in wherever the same verifier is stored, without the
/// password. They are secrets as good as it.
/// </summary>
public sealed class ScramKeys
{
    /// <summary>Bytes of a key.</summary>
    public const int KeyLength = SHA256.HashSizeInBytes;

    private readonly byte[] _clientKey;
    private readonly byte[] _serverKey;

    /// <summary>Keys gained earlier.</summary>
    public ScramKeys(ReadOnlySpan<byte> clientKey, ReadOnlySpan<byte> serverKey)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(clientKey.Length, KeyLength);
        ArgumentOutOfRangeException.ThrowIfNotEqual(serverKey.Length, KeyLength);
        _clientKey = clientKey.ToArray();
        _serverKey = serverKey.ToArray();
    }

    /// <summary>Proves who the client is.</summary>
    public ReadOnlySpan<byte> ClientKey => _clientKey;

    /// <summary>Proves who the server is.</summary>
    public ReadOnlySpan<byte> ServerKey => _serverKey;

    /// <summary>
    /// Derives the keys from a password (PBKDF2). It takes milliseconds, and with the iterations a hostile server asks for it takes
    /// minutes: never on an I/O thread.
    /// </summary>
    /// <remarks>
    /// The password is used as its bytes stand, as PostgreSQL does with ASCII and with what SASLprep (RFC 4013) does not allow. Other
    /// text PostgreSQL normalises to NFKC first; the process has no normalisation data (InvariantGlobalization), so a password that is
    /// not ASCII must be given in NFKC, which is how keyboards produce nearly all of them.
    /// </remarks>
    public static ScramKeys Derive(ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        Span<byte> salted = stackalloc byte[KeyLength];
        Span<byte> clientKey = stackalloc byte[KeyLength];
        Span<byte> serverKey = stackalloc byte[KeyLength];
        Rfc2898DeriveBytes.Pbkdf2(password, salt, salted, iterations, HashAlgorithmName.SHA256);
        HMACSHA256.HashData(salted, "Client Key"u8, clientKey);
        HMACSHA256.HashData(salted, "Server Key"u8, serverKey);
        var keys = new ScramKeys(clientKey, serverKey);
        CryptographicOperations.ZeroMemory(salted);
        CryptographicOperations.ZeroMemory(clientKey);
        CryptographicOperations.ZeroMemory(serverKey);
        return keys;
    }

    /// <summary>The verifier that a server stores for these keys.</summary>
    public ScramVerifier ToVerifier(ReadOnlySpan<byte> salt, int iterations)
    {
        Span<byte> storedKey = stackalloc byte[KeyLength];
        SHA256.HashData(_clientKey, storedKey);
        return new ScramVerifier(iterations, salt, storedKey, _serverKey);
    }
}
