namespace Pooler.Sql;

/// <summary>The hash by which names and operators are looked up, and of which fingerprints are made (FNV-1a, 64 bit).</summary>
internal static class NameHash
{
    public const ulong Start = 14695981039346656037;

    private const ulong Prime = 1099511628211;

    // Bytes of names in lower case (ASCII alone, as PostgreSQL does it in multi-byte encodings); 0 for what ends a name.
    private static readonly byte[] Names = NameBytes();

    /// <summary>By byte: itself in lower case if a name may go on with it, else 0.</summary>
    public static ReadOnlySpan<byte> Folded => Names;

    public static ulong Add(ulong hash, byte next) => (hash ^ next) * Prime;

    public static ulong Of(ReadOnlySpan<byte> text)
    {
        ulong hash = Start;
        foreach (byte next in text)
        {
            hash = Add(hash, next);
        }

        return hash;
    }

    public static byte Fold(byte b) => b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b | 0x20) : b;

    private static byte[] NameBytes()
    {
        byte[] bytes = new byte[256];
        for (int b = 0; b < bytes.Length; b++)
        {
            bytes[b] = SqlWords.IsWordByte((byte)b) ? Fold((byte)b) : (byte)0;
        }

        return bytes;
    }
}
