using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Pooler.Monitoring;

/// <summary>Writes the few forms of protobuf's wire format that OTLP's metrics need (protobuf.dev, Encoding).</summary>
internal sealed class ProtobufWriter
{
    private const int Varint = 0, Fixed64 = 1, LengthDelimited = 2;

    private readonly ArrayBufferWriter<byte> _output = new();

    public ReadOnlyMemory<byte> Written => _output.WrittenMemory;

    public void Number(int field, ulong value)
    {
        Tag(field, Varint);
        WriteVarint(value);
    }

    public void Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    public void Time(int field, ulong nanoseconds)
    {
        Tag(field, Fixed64);
        WriteFixed(nanoseconds);
    }

    public void Real(int field, double value) => Time(field, BitConverter.DoubleToUInt64Bits(value));

    /// <summary>Packed: fixed64 and double look alike.</summary>
    public void Packed(int field, ReadOnlySpan<ulong> values)
    {
        Tag(field, LengthDelimited);
        WriteVarint((ulong)values.Length * sizeof(ulong));
        foreach (ulong value in values)
        {
            WriteFixed(value);
        }
    }

    public void Message(int field, Action<ProtobufWriter> write)
    {
        var inner = new ProtobufWriter();
        write(inner);
        Bytes(field, inner.Written.Span);
    }

    private void Bytes(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, LengthDelimited);
        WriteVarint((ulong)value.Length);
        _output.Write(value);
    }

    private void Tag(int field, int type) => WriteVarint((ulong)(field << 3 | type));

    private void WriteFixed(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_output.GetSpan(sizeof(ulong)), value);
        _output.Advance(sizeof(ulong));
    }

    private void WriteVarint(ulong value)
    {
        Span<byte> bytes = _output.GetSpan(10);
        int length = 0;
        for (; value >= 0x80; value >>= 7)
        {
            bytes[length++] = (byte)(value | 0x80);
        }

        bytes[length++] = (byte)value;
        _output.Advance(length);
    }
}
