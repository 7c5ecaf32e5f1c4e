using System.Security.Cryptography;

namespace Pooler.Protocol;

/// <summary>The arithmetic both sides of SCRAM share (RFC 5802 section 3).</summary>
internal static class ScramProof
{
    /// <summary>Bytes of random that make a nonce; base64 makes 24 characters of them, none a comma.</summary>
    public const int NonceBytes = 18;

    public static string NewNonce() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(NonceBytes));

    /// <summary>AuthMessage: what both sides have signed at the end.</summary>
    public static byte[] AuthMessage(
        ReadOnlySpan<byte> clientFirstBare, ReadOnlySpan<byte> serverFirst, ReadOnlySpan<byte> finalWithoutProof) =>
        [.. clientFirstBare, (byte)',', .. serverFirst, (byte)',', .. finalWithoutProof];

    /// <summary>ClientKey XOR ClientSignature: makes the proof of the key, and the key of the proof.</summary>
    public static byte[] Mask(ReadOnlySpan<byte> keyOrProof, ReadOnlySpan<byte> storedKey, ReadOnlySpan<byte> authMessage)
    {
        byte[] masked = HMACSHA256.HashData(storedKey, authMessage);
        for (int i = 0; i < masked.Length; i++)
            masked[i] ^= keyOrProof[i];
        return masked;
    }
}
