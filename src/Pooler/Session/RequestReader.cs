using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Steps 3 and 4 of the walk: finds a whole request in the look-ahead, and answers what needs no server. Part of its session.</summary>
internal struct RequestReader
{
    private long _leftOut;
    private int _scanned;
    private bool _skipsToSync;

    /// <summary>The front of the input is a new one: what was sent to a server has gone from it.</summary>
    public void Restart() => _scanned = 0;

    /// <summary>So many bytes are still to come of a message that goes nowhere.</summary>
    public void LeaveOut(long length) => _leftOut = length;

    /// <summary><paramref name="end"/>: how the session ends, with <see cref="RequestRead.End"/>.</summary>
    public RequestRead Read(Connection client, out SessionEnd? end)
    {
        end = null;
        ConnectionInput input = client.Input;
        if (_leftOut > 0 && !Drop(input, _leftOut))
        {
            return RequestRead.More;
        }

        if (_skipsToSync)
        {
            return SkipToSync(client, out end);
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
                Drop(input, front);
                _scanned = 0;
                return RequestRead.Answered;
            case RequestScan.Terminate:
                end = SessionEnd.Goodbye;
                return RequestRead.End;
            case RequestScan.Violation:
                end = SessionEnd.Over(RequestScanner.Problem(input.Unread[_scanned..]));
                return RequestRead.End;
            default:
                input.Advance(0);
                return RequestRead.More;
        }
    }

    /// <summary>
    /// Answers the request in front with an error in place of a server and drops it: with a Query or FunctionCall it is over, of a
    /// batch everything up to its Sync goes (PostgreSQL documentation, 55.2.3 Extended Query).
    /// </summary>
    public void Refuse(Connection client, ErrorFields error)
    {
        ConnectionInput input = client.Input;
        var writer = new MessageWriter(client.Outbox);
        writer.WriteErrorResponse(error.Severity, error.SqlState, error.Message, error.Detail, error.Hint);
        _scanned = 0;
        _skipsToSync = input.Unread[0] is not (FrontendMessage.Query or FrontendMessage.FunctionCall);
        if (!_skipsToSync)
        {
            Drop(input, FrameHeader.FrameLength(input.Unread));
            writer.WriteReadyForQuery((byte)'I');
        }

        client.Outbox.Flush();
    }

    private RequestRead SkipToSync(Connection client, out SessionEnd? end)
    {
        end = null;
        ConnectionInput input = client.Input;
        while (input.UnreadLength >= FrameHeader.Size)
        {
            byte type = input.Unread[0];
            long length = FrameHeader.FrameLength(input.Unread);
            bool isPossible = RequestScanner.IsPossible(type, length);
            if (!isPossible || type == FrontendMessage.Terminate)
            {
                end = isPossible ? SessionEnd.Goodbye : SessionEnd.Over(RequestScanner.Problem(input.Unread));
                return RequestRead.End;
            }

            if (!Drop(input, length))
            {
                return RequestRead.More;
            }

            if (type == FrontendMessage.Sync)
            {
                _skipsToSync = false;
                new MessageWriter(client.Outbox).WriteReadyForQuery((byte)'I');
                client.Outbox.Flush();
                return RequestRead.Answered;
            }
        }

        input.Advance(0);
        return RequestRead.More;
    }
    /// <summary>Drops a message that goes nowhere, or as much of it as is there; true when it is through.</summary>
    private bool Drop(ConnectionInput input, long length)
    {
        int taken = (int)Math.Min(length, input.UnreadLength);
        _leftOut = length - taken;
        input.Advance(taken);
        return _leftOut == 0;
    }
}
