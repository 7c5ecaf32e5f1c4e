using System.Buffers.Binary;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>Messages about prepared statements that we put between a client's own.</summary>
internal static class StatementMessages
{
    /// <summary>Text, NUL, no parameter types: a statement of nothing, which PostgreSQL takes in any state of a transaction.</summary>
    private static readonly byte[] Nothing = [0, 0, 0];

    public static void WriteParse(Outbox outbox, ReadOnlySpan<byte> name, ReadOnlySpan<byte> body)
    {
        WriteHead(outbox, FrontendMessage.Parse, name.Length + 1 + body.Length);
        outbox.Append(name);
        outbox.Append([0]);
        outbox.Append(body);
    }

    public static void WriteParseOfNothing(Outbox outbox, ReadOnlySpan<byte> name) => WriteParse(outbox, name, Nothing);

    public static void WriteClose(Outbox outbox, ReadOnlySpan<byte> name)
    {
        WriteHead(outbox, FrontendMessage.Close, name.Length + 2);
        outbox.Append("S"u8);
        outbox.Append(name);
        outbox.Append([0]);
    }

    /// <summary>The unnamed statement, without parameters, is bound and run.</summary>
    public static void WriteRunUnnamed(Outbox outbox) => outbox.Append(
        [FrontendMessage.Bind, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, FrontendMessage.Execute, 0, 0, 0, 9, 0, 0, 0, 0, 0]);

    /// <summary>The unnamed statement, with one parameter as text, is bound and run.</summary>
    public static void WriteRunUnnamed(Outbox outbox, ReadOnlySpan<byte> parameter)
    {
        WriteHead(outbox, FrontendMessage.Bind, 2 + 2 + 2 + 4 + parameter.Length + 2);
        outbox.Append([0, 0, 0, 0, 0, 1]);
        Span<byte> length = outbox.GetSpan(4);
        BinaryPrimitives.WriteInt32BigEndian(length, parameter.Length);
        outbox.Advance(4);
        outbox.Append(parameter);
        outbox.Append([0, 0, FrontendMessage.Execute, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
    }

    /// <summary>A message with another name, up to and with the NUL behind it. Returns how much of the frame it stands for.</summary>
    public static int WriteRenamed(Outbox outbox, ReadOnlySpan<byte> frame, int start, int length, ReadOnlySpan<byte> name)
    {
        int at = FrameHeader.Size + start;
        WriteHead(outbox, frame[0], (int)(FrameHeader.FrameLength(frame) - FrameHeader.Size) - length + name.Length);
        outbox.Append(frame[FrameHeader.Size..at]);
        outbox.Append(name);
        outbox.Append([0]);
        return at + length + 1;
    }

    private static void WriteHead(Outbox outbox, byte type, int bodyLength)
    {
        Span<byte> head = outbox.GetSpan(FrameHeader.Size);
        head[0] = type;
        BinaryPrimitives.WriteInt32BigEndian(head[1..], bodyLength + 4);
        outbox.Advance(FrameHeader.Size);
    }
}
