using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// MD5 password authentication (PostgreSQL documentation, 55.2.1 Start-up, AuthenticationMD5Password): the client answers
/// <c>md5 || hex(md5(hex(md5(password || user)) || salt))</c>, so the stored hash is as good as the password.
/// </summary>
[SuppressMessage("Security", "CA5351", Justification = "The protocol's own algorithm.")]
public static class Md5Password
{
    /// <summary>Bytes of salt in the request.</summary>
    public const int SaltLength = 4;

    private const int HashLength = 3 + 32;
    private static readonly SearchValues<char> Hex = SearchValues.Create("0123456789abcdef");

    /// <summary>Whether a stored secret is an MD5 hash, as PostgreSQL tells: <c>md5</c> and 32 lower-case hexadecimal digits.</summary>
    public static bool IsHash(ReadOnlySpan<char> secret) =>
        secret.Length == HashLength && secret.StartsWith("md5") && !secret[3..].ContainsAnyExcept(Hex);

    /// <summary>The hash PostgreSQL stores for a password.</summary>
    public static string Hash(ReadOnlySpan<byte> password, ReadOnlySpan<byte> user) => Digest(password, user);

    /// <summary>The answer to a request, from the stored hash.</summary>
    public static string Respond(string storedHash, ReadOnlySpan<byte> salt)
    {
        if (!IsHash(storedHash))
            throw new ArgumentException("Not an MD5 password hash.", nameof(storedHash));
        ArgumentOutOfRangeException.ThrowIfNotEqual(salt.Length, SaltLength);
        return Digest(Encoding.ASCII.GetBytes(storedHash, 3, HashLength - 3), salt);
    }

    /// <summary>Whether a client's answer fits the stored hash and the salt it was sent; takes as long for any answer.</summary>
    public static bool Verify(string storedHash, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> response) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Respond(storedHash, salt)), response);

    /// <summary>Whether a password in clear text is the one that was hashed.</summary>
    public static bool VerifyPassword(string storedHash, ReadOnlySpan<byte> password, ReadOnlySpan<byte> user) =>
        CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(storedHash), Encoding.ASCII.GetBytes(Hash(password, user)));

    private static string Digest(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        byte[] joined = [.. first, .. second];
        string digest = "md5" + Convert.ToHexStringLower(MD5.HashData(joined));
        CryptographicOperations.ZeroMemory(joined);
        return digest;
    }
}
