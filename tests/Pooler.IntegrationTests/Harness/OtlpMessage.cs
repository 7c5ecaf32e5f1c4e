using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A message of protobuf, by the numbers of its fields.</summary>
internal sealed class OtlpMessage
{
    private readonly List<(int Field, ulong Number, byte[] Bytes)> _fields = [];

    public OtlpMessage(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            ulong tag = Varint(ref data), number = 0;
            byte[] bytes = [];
            switch (tag & 7)
            {
                case 0:
                    number = Varint(ref data);
                    break;
                case 1:
                    number = BinaryPrimitives.ReadUInt64LittleEndian(data);
                    data = data[8..];
                    break;
                case 2:
                    int length = (int)Varint(ref data);
                    bytes = data[..length].ToArray();
                    data = data[length..];
                    break;
                default:
                    throw new InvalidDataException($"wire type {tag & 7}");
            }

            _fields.Add(((int)(tag >> 3), number, bytes));
        }
    }

    public IEnumerable<OtlpMessage> Inner(int field) => _fields.Where(f => f.Field == field).Select(static f => new OtlpMessage(f.Bytes));

    public string Text(int field) => Encoding.UTF8.GetString(_fields.Single(f => f.Field == field).Bytes);

    public ulong Number(int field) => _fields.Single(f => f.Field == field).Number;

    public ulong Fixed(int field) => Number(field);

    public ulong[] Packed(int field)
    {
        byte[] bytes = _fields.Single(f => f.Field == field).Bytes;
        return [.. Enumerable.Range(0, bytes.Length / 8).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(i * 8)))];
    }

    private static ulong Varint(ref ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = data[0];
            data = data[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }
    }
}
