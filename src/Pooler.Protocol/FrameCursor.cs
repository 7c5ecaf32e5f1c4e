using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// Fills one message of known length in the span of an output: the length is counted first, so a message is either written whole
/// or, if a field cannot be written, not at all.
/// </summary>
internal ref struct FrameCursor
{
    private readonly IBufferWriter<byte> _output;
    private readonly Span<byte> _frame;
    private int _at;

    /// <summary>Begins a message with a type byte.</summary>
    public FrameCursor(IBufferWriter<byte> output, byte type, int bodyLength)
    {
        int length = checked(bodyLength + 4);
        _output = output;
        _frame = output.GetSpan(checked(length + 1))[..(length + 1)];
        Byte(type);
        Int32(length);
    }

    /// <summary>Begins a message without a type byte, as before authentication.</summary>
    public FrameCursor(IBufferWriter<byte> output, int bodyLength)
    {
        int length = checked(bodyLength + 4);
        _output = output;
        _frame = output.GetSpan(length)[..length];
        Int32(length);
    }

    /// <summary>Bytes of a string and the NUL behind it. A NUL inside would end the field early and is refused.</summary>
    public static int SizeOf(string text)
    {
        if (text.Contains('\0'))
            throw new ArgumentException("A string of the protocol cannot contain NUL.", nameof(text));
        return checked(Encoding.UTF8.GetByteCount(text) + 1);
    }

    /// <inheritdoc cref="SizeOf(string)"/>
    public static int SizeOf(ReadOnlySpan<byte> text)
    {
        if (text.Contains((byte)0))
            throw new ArgumentException("A string of the protocol cannot contain NUL.", nameof(text));
        return checked(text.Length + 1);
    }

    public void Byte(byte value) => _frame[_at++] = value;

    public void Int16(short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(_frame[_at..], value);
        _at += 2;
    }

    public void Int32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(_frame[_at..], value);
        _at += 4;
    }

    public void Bytes(ReadOnlySpan<byte> value)
    {
        value.CopyTo(_frame[_at..]);
        _at += value.Length;
    }

    /// <summary>UTF-8 of the text, without a terminator.</summary>
    public void Text(string value) => _at += Encoding.UTF8.GetBytes(value, _frame[_at..]);

    public void CString(string value)
    {
        Text(value);
        Byte(0);
    }

    public void CString(ReadOnlySpan<byte> value)
    {
        Bytes(value);
        Byte(0);
    }

    /// <summary>Hands the message to the output.</summary>
    public readonly void End()
    {
        if (_at != _frame.Length)
            throw new InvalidOperationException("A message was not filled to its length.");
        _output.Advance(_at);
    }
}
