using System.Buffers.Binary;
using System.Security.Cryptography;
using Pooler.Net;

namespace Pooler.Session;

/// <summary>
/// The keys clients cancel with: ours, since the server behind a client changes. Laid out as PgBouncer's (src/client.c, welcome_client),
/// so that a PgBouncer may be a peer: the second and third byte are our peer_id, the last two bits of the eighth how often the key may
/// still be passed on, all else is random. A process id is never 0 and never negative, as drivers expect of one. A secret has 4 bytes up
/// to protocol 3.1; from 3.2 on these and a seal over both (HMAC-SHA-256, 28 bytes of it), so that nobody finds a key by trying.
/// </summary>
internal sealed class CancelKeys
{
    /// <summary>Bytes of a secret up to protocol 3.1.</summary>
    public const int ShortSecret = 4;

    /// <summary>Bytes of a secret from protocol 3.2 on.</summary>
    public const int LongSecret = 32;

    private const int PeerBits = 0x00FF_FF00;
    private const uint HopBits = 3;

    private readonly byte[] _seal = Syscalls.RandomBytes(32);
    private volatile int _node;

    /// <summary>The peer_id that new keys carry, 0 to 16383.</summary>
    public int Node
    {
        get => _node;
        set => _node = value;
    }

    /// <summary>The peer_id in the process id of a key.</summary>
    public static int PeerOf(int processId) => (processId >> 16 & 0xFF) | (processId & 0xFF00);

    /// <summary>The secret as the next peer gets it: it may be passed on once less. Null: not at all (PgBouncer passes on three times).</summary>
    public static byte[]? PassedOn(ReadOnlySpan<byte> secret)
    {
        if (secret.Length < ShortSecret || (secret[ShortSecret - 1] & HopBits) == 0)
        {
            return null;
        }

        byte[] passed = secret.ToArray();
        passed[ShortSecret - 1]--;
        return passed;
    }

    /// <summary>The secret as its client was told it, however often peers have passed it on.</summary>
    public byte[] AsIssued(ReadOnlySpan<byte> secret)
    {
        byte[] issued = secret.ToArray();
        if (_node > 0 && issued.Length >= ShortSecret)
        {
            issued[ShortSecret - 1] |= (byte)HopBits;
        }

        return issued;
    }

    /// <summary>A key nobody can guess; whether it is in use already the table knows.</summary>
    public CancelKey New()
    {
        Span<byte> random = stackalloc byte[sizeof(int) + ShortSecret];
        Syscalls.FillRandom(random);
        int node = _node, id = BinaryPrimitives.ReadInt32BigEndian(random) & int.MaxValue;
        if (node > 0)
        {
            id = (id & ~PeerBits) | ((node & 0xFF) << 16) | (node & 0xFF00);
        }

        return new CancelKey(Math.Max(id, 1), BinaryPrimitives.ReadUInt32BigEndian(random[sizeof(int)..]) | HopBits);
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

    /// <summary>The key that a secret as issued belongs to; false for one that is none of ours: of another length, or with a wrong seal.</summary>
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
