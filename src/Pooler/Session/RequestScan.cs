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
            if (length == 0 || !IsKnown(type))
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

    public static bool IsKnown(byte type) => type is FrontendMessage.Query or FrontendMessage.Parse or FrontendMessage.Bind or FrontendMessage.Execute
        or FrontendMessage.Describe or FrontendMessage.Sync or FrontendMessage.Close or FrontendMessage.Flush or FrontendMessage.Terminate
        or FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail or FrontendMessage.FunctionCall;
}
