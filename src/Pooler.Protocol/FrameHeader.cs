using System.Buffers.Binary;

namespace Pooler.Protocol;

/// <summary>The five bytes before every message body after the startup packet: a type byte and a length that counts itself.</summary>
public static class FrameHeader
{
    public const int Size = 5;

    /// <summary>
    /// Bytes of the whole frame, type byte included, from at least <see cref="Size"/> bytes; 0 when the length word is
    /// impossible (below 4, or negative).
    /// </summary>
    public static long FrameLength(ReadOnlySpan<byte> data)
    {
        int length = BinaryPrimitives.ReadInt32BigEndian(data[1..]);
        return length < 4 ? 0 : 1L + length;
    }
}
