using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A span as it came over OTLP (opentelemetry/proto/trace/v1/trace.proto). Times in nanoseconds; kind 1 is internal, 3 client.</summary>
internal sealed record OtlpSpan(string Trace, string Id, string Parent, string Name, int Kind, ulong Start, ulong End, bool IsError, IReadOnlyDictionary<string, string> Tags, IReadOnlyDictionary<string, string> Resource)
{
    public double Milliseconds => (End - Start) / 1e6;

    /// <summary>The spans of an ExportTraceServiceRequest.</summary>
    public static List<OtlpSpan> ReadAll(ReadOnlyMemory<byte> request)
    {
        List<OtlpSpan> spans = [];
        foreach (ReadOnlyMemory<byte> resourceSpans in Messages(request, 1))
        {
            var resource = new Dictionary<string, string>(Messages(resourceSpans, 1).SelectMany(static r => Messages(r, 1)).Select(Pair));
            spans.AddRange(Messages(resourceSpans, 2).SelectMany(static scope => Messages(scope, 2)).Select(span => Read(span, resource)));
        }

        return spans;
    }

    private static OtlpSpan Read(ReadOnlyMemory<byte> span, Dictionary<string, string> resource)
    {
        Dictionary<int, (ulong Number, ReadOnlyMemory<byte> Bytes)> fields = [];
        foreach ((int field, ulong number, ReadOnlyMemory<byte> bytes) in Fields(span))
        {
            fields[field] = (number, bytes);
        }

        bool isError = fields.TryGetValue(15, out var status) && Fields(status.Bytes).Any(static f => f is { Field: 3, Number: 2 });
        return new OtlpSpan(
            Hex(fields[1].Bytes), Hex(fields[2].Bytes), Hex(fields.GetValueOrDefault(4).Bytes), Text(fields[5].Bytes), (int)fields[6].Number,
            fields[7].Number, fields[8].Number, isError, new Dictionary<string, string>(Messages(span, 9).Select(Pair)), resource);
    }

    private static KeyValuePair<string, string> Pair(ReadOnlyMemory<byte> pair)
    {
        (int kind, ulong number, ReadOnlyMemory<byte> bytes) = Fields(Messages(pair, 2).Single()).Single();
        return new(Text(Messages(pair, 1).Single()), kind == 1 ? Text(bytes) : $"{number}");
    }

    private static string Hex(ReadOnlyMemory<byte> bytes) => Convert.ToHexStringLower(bytes.Span);

    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);

    private static IEnumerable<ReadOnlyMemory<byte>> Messages(ReadOnlyMemory<byte> message, int field) =>
        Fields(message).Where(f => f.Field == field).Select(static f => f.Bytes);

    private static List<(int Field, ulong Number, ReadOnlyMemory<byte> Bytes)> Fields(ReadOnlyMemory<byte> message)
    {
        List<(int, ulong, ReadOnlyMemory<byte>)> fields = [];
        for (int at = 0; at < message.Length;)
        {
            ulong tag = Number();
            ulong number = 0;
            ReadOnlyMemory<byte> bytes = default;
            switch (tag & 7)
            {
                case 0:
                    number = Number();
                    break;
                case 1:
                    number = BinaryPrimitives.ReadUInt64LittleEndian(message.Span[at..]);
                    at += 8;
                    break;
                case 2:
                    int length = (int)Number();
                    bytes = message.Slice(at, length);
                    at += length;
                    break;
                case 5:
                    number = BinaryPrimitives.ReadUInt32LittleEndian(message.Span[at..]);
                    at += 4;
                    break;
                default:
                    throw new InvalidDataException($"protobuf: wire type {tag & 7}");
            }

            fields.Add(((int)(tag >> 3), number, bytes));

            ulong Number()
            {
                ulong value = 0;
                for (int shift = 0; ; shift += 7)
                {
                    byte b = message.Span[at++];
                    value |= (ulong)(b & 0x7F) << shift;
                    if (b < 0x80)
                    {
                        return value;
                    }
                }
            }
        }

        return fields;
    }
}
