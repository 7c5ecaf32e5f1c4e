using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Steps 3 and 4 of the walk: finds a whole request in the look-ahead, and answers what needs no server.</summary>
internal sealed class RequestReader(RequestForwarder forwarder)
{
    private int _scanned;

    /// <summary>The front of the input is a new one: what was sent to a server has gone from it.</summary>
    public void Restart() => _scanned = 0;

    /// <summary><paramref name="end"/>: how the session ends, with <see cref="RequestRead.End"/>.</summary>
    public RequestRead Read(Connection client, out SessionEnd? end)
    {
        end = null;
        ConnectionInput input = client.Input;
        if (forwarder.IsDiscarding && !forwarder.DiscardRest(input))
        {
            return RequestRead.More;
        }

        switch (RequestScanner.Scan(input.Unread, ref _scanned, out long front))
        {
            case RequestScan.Request:
                return RequestRead.Request;
            case RequestScan.LoneSync:
                // A Sync alone asks nothing of a server.
                input.Advance(FrameHeader.Size);
                new MessageWriter(client.Outbox).WriteReadyForQuery((byte)'I');
                client.Outbox.Flush();
                return RequestRead.Answered;
            case RequestScan.Stray:
                // Architecture rule 11: a COPY frame outside COPY is swallowed and never leases a server.
                forwarder.Discard(input, front);
                _scanned = 0;
                return RequestRead.Answered;
            case RequestScan.Terminate:
                end = SessionEnd.Quiet("client close request");
                return RequestRead.End;
            case RequestScan.Violation:
                end = SessionEnd.Fatal(RequestScanner.Problem(input.Unread[_scanned..]));
                return RequestRead.End;
            default:
                input.Advance(0);
                return RequestRead.More;
        }
    }
}
