using System.Buffers.Binary;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>What the look-ahead holds, from the front, of a client without a server.</summary>
internal enum RequestScan : byte
{
    /// <summary>No reply border yet: more must be read first.</summary>
    Incomplete,

    /// <summary>A request that needs a server.</summary>
    Request,

    /// <summary>Only a Sync: answered without a server.</summary>
    LoneSync,

    /// <summary>A message that needs no answer and no server: a Flush with nothing before it, a COPY frame outside COPY.</summary>
    Stray,

    Terminate,
    Violation,
}

/// <summary>Reads message headers up to a reply border (Query, Sync, Flush, FunctionCall) or until the look-ahead is full.</summary>
internal static class RequestScanner
{
    // PostgreSQL: PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT, and the type byte.
    private const int MaxSmall = 10_000 + 1, MaxLarge = 0x3FFF_FFFE + 1;

    /// <summary>
    /// Goes on at <paramref name="scanned"/>, the end of the last whole message seen. <paramref name="front"/>: bytes of the
    /// first message, at most what is there.
    /// </summary>
    public static RequestScan Scan(ReadOnlySpan<byte> data, ref int scanned, out long front)
    {
        front = 0;
        while (data.Length - scanned >= FrameHeader.Size)
        {
            ReadOnlySpan<byte> rest = data[scanned..];
            long length = FrameHeader.FrameLength(rest);
            byte type = rest[0];
            if (!IsPossible(type, length))
            {
                return RequestScan.Violation;
            }

            front = scanned == 0 ? length : front;
            if (scanned == 0 && type is FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail)
            {
                return RequestScan.Stray;
            }

            if (length > rest.Length)
            {
                // A message that fits is waited for; a longer one is streamed behind the decision.
                return data.Length - scanned < length && scanned + length <= BlockPool.BlockSize ? RequestScan.Incomplete : RequestScan.Request;
            }

            switch (type)
            {
                case FrontendMessage.Terminate:
                    return RequestScan.Terminate;
                case FrontendMessage.Sync when scanned == 0:
                    return RequestScan.LoneSync;
                case FrontendMessage.Flush when scanned == 0:
                    return RequestScan.Stray;
                case FrontendMessage.Query or FrontendMessage.Sync or FrontendMessage.Flush or FrontendMessage.FunctionCall:
                    return RequestScan.Request;
            }

            scanned += (int)length;
        }

        return data.Length >= BlockPool.BlockSize ? RequestScan.Request : RequestScan.Incomplete;
    }

    /// <summary>The error for a header that is not possible.</summary>
    public static ErrorFields Problem(ReadOnlySpan<byte> header) =>
        SessionErrors.BadMessage.Fields(BackendFrame.Describe(header[0]), BinaryPrimitives.ReadInt32BigEndian(header[1..]));

    /// <summary>
    /// Whether a client may send a message of this type and frame length, by PostgreSQL's own bounds (SocketBackend): what it
    /// would close the connection for shall not cost us a server.
    /// </summary>
    public static bool IsPossible(byte type, long length) => type switch
    {
        FrontendMessage.Sync or FrontendMessage.Flush or FrontendMessage.Terminate or FrontendMessage.CopyDone => length == FrameHeader.Size,
        FrontendMessage.Execute or FrontendMessage.Describe or FrontendMessage.Close or FrontendMessage.CopyFail => length is > FrameHeader.Size and <= MaxSmall,
        FrontendMessage.Query or FrontendMessage.Parse or FrontendMessage.Bind or FrontendMessage.FunctionCall => length is > FrameHeader.Size and <= MaxLarge,
        FrontendMessage.CopyData => length is >= FrameHeader.Size and <= MaxLarge,
        _ => false,
    };
}
