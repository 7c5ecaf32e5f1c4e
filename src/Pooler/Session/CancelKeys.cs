using System.Buffers.Binary;
using System.Security.Cryptography;
using Pooler.Net;

namespace Pooler.Session;

/// <summary>
/// The keys clients cancel with: ours, since the server behind a client changes. A process id is 14 bits of our node (peer_id)
/// above 17 random ones, never 0 and never negative, as drivers expect of one. A secret is 4 random bytes up to protocol 3.1; from
/// 3.2 on these and a seal over both (HMAC-SHA-256, 28 bytes of it), so that nobody finds a key by trying.
/// </summary>
internal sealed class CancelKeys
{
    /// <summary>Bytes of a secret up to protocol 3.1.</summary>
    public const int ShortSecret = 4;

    /// <summary>Bytes of a secret from protocol 3.2 on.</summary>
    public const int LongSecret = 32;

    private const int RandomBits = 17;

    private readonly byte[] _seal = Syscalls.RandomBytes(32);
    private volatile int _node;

    /// <summary>The peer_id that new keys carry, 0 to 16383.</summary>
    public int Node
    {
        get => _node;
        set => _node = value;
    }

    /// <summary>A key nobody can guess; whether it is in use already the table knows.</summary>
    public CancelKey New()
    {
        byte[] random = Syscalls.RandomBytes(sizeof(int) + ShortSecret);
        int id = BinaryPrimitives.ReadInt32BigEndian(random) & ((1 << RandomBits) - 1);
        return new CancelKey((_node << RandomBits) | Math.Max(id, 1), BinaryPrimitives.ReadUInt32BigEndian(random.AsSpan(sizeof(int))));
    }

    /// <summary>The secret of a key as its client is told it.</summary>
    public byte[] SecretOf(CancelKey key, bool isLong)
    {
        byte[] secret = new byte[isLong ? LongSecret : ShortSecret];
        BinaryPrimitives.WriteUInt32BigEndian(secret, key.Secret);
        if (isLong)
        {
            Seal(key).AsSpan(0, LongSecret - ShortSecret).CopyTo(secret.AsSpan(ShortSecret));
        }

        return secret;
    }

    /// <summary>The key a CancelRequest names; false for one that is none of ours: of another length, or with a wrong seal.</summary>
    public bool TryRead(int processId, ReadOnlySpan<byte> secret, out CancelKey key, out bool isLong)
    {
        key = default;
        isLong = secret.Length == LongSecret;
        if (secret.Length != ShortSecret && !isLong)
        {
            return false;
        }

        key = new CancelKey(processId, BinaryPrimitives.ReadUInt32BigEndian(secret));
        return !isLong || CryptographicOperations.FixedTimeEquals(secret[ShortSecret..], Seal(key).AsSpan(0, LongSecret - ShortSecret));
    }

    private byte[] Seal(CancelKey key)
    {
        Span<byte> sealedPart = stackalloc byte[8];
        BinaryPrimitives.WriteInt32BigEndian(sealedPart, key.ProcessId);
        BinaryPrimitives.WriteUInt32BigEndian(sealedPart[4..], key.Secret);
        return HMACSHA256.HashData(_seal, sealedPart);
    }
}
