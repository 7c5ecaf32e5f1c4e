using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Pooler.Sql;

/// <summary>
/// The hash by which names and operators are looked up, and of which fingerprints are made: eight bytes at a time, in lower case
/// where a name is not in quotes (ASCII alone, as PostgreSQL folds in multi-byte encodings). Of up to eight bytes no two have the same.
/// </summary>
internal static class NameHash
{
    private const int WordSize = 8;
    private const ulong Factor = 0x9E3779B97F4A7C15, Ones = 0x0101010101010101, HighBits = Ones << 7;

    /// <summary>Whether the hash of a name says all of it.</summary>
    public static bool IsWhole(int length) => length <= WordSize;

    public static ulong Of(ReadOnlySpan<byte> name, bool isFolded)
    {
        ulong hash = 0;
        for (int at = 0; at < name.Length; at += WordSize)
        {
            ulong word = Load(name, at);
            hash = Add(hash, isFolded ? Lower(word) : word);
        }

        return End(hash);
    }

    /// <summary>The hash of the name without quotes that begins here, and where it ends.</summary>
    public static ulong OfName(ReadOnlySpan<byte> text, int start, out int end)
    {
        ulong hash = 0;
        for (end = start; ; end += WordSize)
        {
            ulong word = Load(text, end);
            int length = NameBytes(word);
            if (length == WordSize)
            {
                hash = Add(hash, Lower(word));
                continue;
            }

            end += length;
            return End(length == 0 ? hash : Add(hash, Lower(word & ((1UL << (length * 8)) - 1))));
        }
    }

    public static byte Fold(byte b) => b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b | 0x20) : b;

    private static ulong Add(ulong hash, ulong word) => (BitOperations.RotateLeft(hash, 25) ^ word) * Factor;

    private static ulong End(ulong hash) => hash ^ (hash >> 32);

    /// <summary>Eight bytes of a text, the first of them lowest; behind its end there are zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Load(ReadOnlySpan<byte> text, int at)
    {
        int left = text.Length - at;
        if (left >= WordSize)
        {
            return BinaryPrimitives.ReadUInt64LittleEndian(text[at..]);
        }

        return Rest(text, at);
    }

    private static ulong Rest(ReadOnlySpan<byte> text, int at)
    {
        ulong word = 0;
        for (int i = text.Length - 1; i >= at; i--)
        {
            word = (word << 8) | text[i];
        }

        return word;
    }

    /// <summary>How many bytes of a word, from its lowest on, may be in a name: letters, digits, _, $ and all above ASCII.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int NameBytes(ulong word)
    {
        ulong low = word & ~HighBits;
        ulong others = ~(Range(low | (Ones * 0x20), 'a', 'z') | Range(low, '0', '9') | Range(low, '_', '_') | Range(low, '$', '$') | word) & HighBits;
        return BitOperations.TrailingZeroCount(others) / 8;
    }

    /// <summary>A to Z of eight bytes at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Lower(ulong word) => word | ((Range(word & ~HighBits, 'A', 'Z') & ~word & HighBits) >> 2);

    /// <summary>The high bit of each byte that is in the range; all are below 0x80, so none carries into the next.</summary>
    private static ulong Range(ulong low, char from, char to) => (low + (Ones * (0x80UL - from))) & ~(low + (Ones * (0x7FUL - to)));
}
