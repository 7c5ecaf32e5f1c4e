using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;

namespace Pooler.Protocol;

/// <summary>
/// Brings a DataRow of text values into the formats its client asked for, as the types' send functions do: int4, int8 and numeric
/// (of whole numbers, the only ones we show) are numbers, everything else looks the same in both formats.
/// </summary>
public static class BinaryDataRow
{
    private const int Int4 = 23, Int8 = 20, Numeric = 1700;

    private const int NumericBase = 10_000, NumericNegative = 0x4000;

    /// <summary>Bytes of the longest number: a numeric of 64 bits has a header of eight and five digits of its base.</summary>
    private const int LongestNumber = 18;

    /// <summary>Writes the row with this text body; false, and nothing is written, when a value is not of its column's type.</summary>
    public static bool TryWrite(IBufferWriter<byte> output, ReadOnlySpan<byte> body, ReadOnlySpan<ColumnDescription> columns)
    {
        var reader = new MessageReader(body);
        var row = new ArrayBufferWriter<byte>(body.Length + 16);
        Span<byte> number = stackalloc byte[LongestNumber];
        int count = reader.ReadInt16();
        if (count != columns.Length)
        {
            return false;
        }

        foreach (ColumnDescription column in columns)
        {
            int length = reader.ReadInt32();
            scoped ReadOnlySpan<byte> value = length < 0 ? [] : reader.Take(length);
            if (length >= 0 && column is { IsBinary: true, TypeOid: Int4 or Int8 or Numeric })
            {
                length = Encode(column.TypeOid, value, number);
                if (length < 0)
                {
                    return false;
                }

                value = number[..length];
            }

            BinaryPrimitives.WriteInt32BigEndian(row.GetSpan(4), length);
            row.Advance(4);
            row.Write(value);
        }

        if (!reader.IsWhole)
        {
            return false;
        }

        var frame = new FrameCursor(output, BackendMessage.DataRow, 2 + row.WrittenCount);
        frame.Int16((short)count);
        frame.Bytes(row.WrittenSpan);
        frame.End();
        return true;
    }

    /// <summary>The length of the binary value; -1 when the text is no number of that type.</summary>
    private static int Encode(int typeOid, ReadOnlySpan<byte> text, Span<byte> binary)
    {
        if (!Utf8Parser.TryParse(text, out long value, out int used) || used != text.Length)
        {
            return -1;
        }

        switch (typeOid)
        {
            case Int4:
                BinaryPrimitives.WriteInt32BigEndian(binary, (int)value);
                return value == (int)value ? 4 : -1;
            case Int8:
                BinaryPrimitives.WriteInt64BigEndian(binary, value);
                return 8;
            default:
                return EncodeNumeric(value, binary);
        }
    }

    /// <summary>Digits of base 10,000, the first the most significant: count, weight of the first, sign, digits behind the point, digits (numeric_send).</summary>
    private static int EncodeNumeric(long value, Span<byte> binary)
    {
        Span<short> digits = stackalloc short[5];
        int weight = -1;
        for (ulong rest = value < 0 ? (ulong)-value : (ulong)value; rest > 0; rest /= NumericBase)
        {
            digits[++weight] = (short)(rest % NumericBase);
        }

        int last = 0; // Zeros at the end are not sent.
        while (last <= weight && digits[last] == 0)
        {
            last++;
        }

        int count = weight + 1 - last;
        BinaryPrimitives.WriteInt16BigEndian(binary, (short)count);
        BinaryPrimitives.WriteInt16BigEndian(binary[2..], (short)Math.Max(weight, 0));
        BinaryPrimitives.WriteInt16BigEndian(binary[4..], (short)(value < 0 ? NumericNegative : 0));
        BinaryPrimitives.WriteInt16BigEndian(binary[6..], 0);
        for (int i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteInt16BigEndian(binary[(8 + (2 * i))..], digits[weight - i]);
        }

        return 8 + (2 * count);
    }
}
