using System.Buffers.Binary;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// Takes the body of a message apart, field by field (PostgreSQL documentation, 55.7 Message Formats). What is cut short is read as
/// zero or empty and remembered: ask <see cref="IsWhole"/> at the end.
/// </summary>
public ref struct MessageReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> _rest = body;
    private bool _isBroken;

    /// <summary>Whether every field was there, and nothing is left.</summary>
    public readonly bool IsWhole => !_isBroken && _rest.IsEmpty;

    /// <summary>One byte.</summary>
    public byte ReadByte() => Take(1) is [byte value] ? value : (byte)0;

    /// <summary>A number of 16 bits.</summary>
    public short ReadInt16() => Take(2) is { Length: 2 } bytes ? BinaryPrimitives.ReadInt16BigEndian(bytes) : (short)0;

    /// <summary>A number of 32 bits.</summary>
    public int ReadInt32() => Take(4) is { Length: 4 } bytes ? BinaryPrimitives.ReadInt32BigEndian(bytes) : 0;

    /// <summary>Text up to a NUL, which is UTF-8.</summary>
    public string ReadString()
    {
        ReadOnlySpan<byte> text = Take(_rest.IndexOf((byte)0)); // -1: it has no end.
        Take(1);
        return Encoding.UTF8.GetString(text);
    }

    /// <summary>So many bytes; none when they are not all there.</summary>
    public ReadOnlySpan<byte> Take(int length)
    {
        if (length < 0 || length > _rest.Length)
        {
            _isBroken = true;
            return [];
        }

        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }
}
