using Pooler.Backend;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// The client's half of the data path: passes whole messages, and parts of long ones, to the leased server, and pushes what
/// must come back before it does (architecture rule 2).
/// </summary>
internal sealed class RequestForwarder(ReplyQueue replies, bool disablePqExec, long maxPacketSize)
{
    private long _frameRemaining;
    private bool _isSwallowing;

    /// <summary>A message was passed on in part: the server waits for the rest.</summary>
    public bool IsInFrame => _frameRemaining > 0 && !_isSwallowing;

    /// <summary>The rest of a message that goes nowhere is still to come.</summary>
    public bool IsDiscarding => _frameRemaining > 0 && _isSwallowing;

    /// <summary>Stopped before a request that is there; the replies outstanding come first.</summary>
    public bool IsHeld { get; private set; }

    /// <summary>
    /// Bytes at the front of the input that were sent on a fresh lease and kept until its first reply: a server that says
    /// goodbye instead (57P01) has not run them, and another gets them (architecture rule 12).
    /// </summary>
    public int Retained { get; private set; }

    /// <summary>The server has replied: what was kept is its own now.</summary>
    public void Forget(ConnectionInput input)
    {
        input.Advance(Retained);
        Retained = 0;
    }

    /// <summary>The server is gone and ran nothing of it: the kept bytes count as not sent.</summary>
    public void TakeBack()
    {
        Retained = 0;
        _frameRemaining = 0;
        IsHeld = _waitsForSettled = false;
    }

    public bool MayGoOn => !replies.IsFull && replies.Count <= ReplyQueue.Capacity / 2 && !_waitsForSettled;

    private bool _waitsForSettled, _isRepeatable, _hasParsed;

    /// <summary>The last round created a named statement, which lives on this one server.</summary>
    public bool NamedStatement { get; private set; }

    /// <summary>Bytes the last round took.</summary>
    public int LastForwarded { get; private set; }

    public string? Problem { get; private set; }

    /// <summary>Drops a message that goes nowhere, or as much of it as is there.</summary>
    public void Discard(ConnectionInput input, long length)
    {
        int taken = (int)Math.Min(length, input.UnreadLength);
        _frameRemaining = length - taken;
        _isSwallowing = true;
        input.Advance(taken);
    }

    /// <summary>Goes on dropping; true when the message is through.</summary>
    public bool DiscardRest(ConnectionInput input)
    {
        Discard(input, _frameRemaining);
        return _frameRemaining == 0;
    }

    /// <summary>
    /// Forwards what is there. <paramref name="isContended"/>: other clients wait for this pool, so a pipelining one stops
    /// before its next request until it has its replies, and gives them their turn. <paramref name="mayRepeat"/>: the server
    /// holds nothing of this client yet, so another could run the same.
    /// </summary>
    public ForwardResult Forward(ConnectionInput input, ServerConnection server, bool isContended, bool mayRepeat)
    {
        ReadOnlySpan<byte> data = input.Unread[Retained..];
        int at = 0, runStart = 0;
        bool isFresh = replies.Count == 0 || (replies.Count == 1 && replies.HeadUse == ReplyUse.Swallow);
        _isRepeatable = mayRepeat && isFresh && server.Status == 'I' && !replies.BatchOpen;
        ForwardResult result = ForwardResult.Done;
        NamedStatement = IsHeld = _waitsForSettled = _hasParsed = false;
        while (at < data.Length)
        {
            if (_frameRemaining > 0)
            {
                int part = (int)Math.Min(_frameRemaining, data.Length - at);
                _frameRemaining -= part;
                at += part;
                runStart = _isSwallowing ? at : runStart;
                continue;
            }

            ReadOnlySpan<byte> rest = data[at..];
            if (rest.Length < FrameHeader.Size)
            {
                break;
            }

            byte type = rest[0];
            long length = FrameHeader.FrameLength(rest);
            if (!RequestScanner.IsPossible(type, length))
            {
                Problem = RequestScanner.Problem(rest);
                result = ForwardResult.Violation;
                break;
            }

            if (length - 1 > maxPacketSize)
            {
                Problem = "packet too large (max_packet_size)";
                result = ForwardResult.Violation;
                break;
            }

            if (rest.Length < length && length <= BlockPool.BlockSize && type != FrontendMessage.CopyData)
            {
                break;
            }

            if (type == FrontendMessage.Terminate)
            {
                result = ForwardResult.Terminate;
                break;
            }

            bool isCopyFrame = type is FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail;
            bool startsRequest = !replies.BatchOpen && !isCopyFrame && !replies.InCopy;
            if (replies.IsFull || (isContended && startsRequest && replies.Count > 0 && !isFresh))
            {
                IsHeld = true;
                _waitsForSettled = !replies.IsFull;
                result = ForwardResult.Held;
                break;
            }

            // Architecture rule 11: COPY frames that no COPY can be waiting for go nowhere.
            _isSwallowing = isCopyFrame && !replies.InCopy && replies.Count == 0;
            if (_isSwallowing)
            {
                server.Outbox.Append(data[runStart..at]);
            }
            else if (!Admit(server, type, rest[FrameHeader.Size..(int)Math.Min(length, rest.Length)], isWhole: rest.Length >= length))
            {
                result = ForwardResult.Violation;
                break;
            }

            int taken = (int)Math.Min(length, rest.Length);
            _frameRemaining = length - taken;
            at += taken;
            runStart = _isSwallowing ? at : runStart;
            isFresh = false;
        }

        server.Outbox.Send(data[runStart..at]);
        LastForwarded = at;
        if (_isRepeatable && replies.Count > 0 && at > 0 && _frameRemaining == 0)
        {
            Retained = at;
            input.Advance(0);
        }
        else
        {
            input.Advance(Retained + at);
            Retained = 0;
        }

        return result;
    }

    /// <summary>Pushes the reply a message asks for and notes what it may leave behind on the server.</summary>
    private bool Admit(ServerConnection server, byte type, ReadOnlySpan<byte> body, bool isWhole)
    {
        if (replies.InCopy && type is not (FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail
            or FrontendMessage.Flush or FrontendMessage.Sync))
        {
            Problem = $"unexpected message type '{(char)type}' during COPY from stdin";
            return false;
        }

        switch (type)
        {
            case FrontendMessage.Query:
                if (disablePqExec)
                {
                    Problem = "PQexec disallowed";
                    return false;
                }

                server.IsDirty |= !isWhole || StateScan.MayLeaveState(body);
                _isRepeatable &= isWhole && StatementHead.IsRepeatable(body);
                replies.Push(ReplyKind.Query);
                break;
            case FrontendMessage.Parse:
                NamedStatement |= body.IsEmpty || body[0] != 0;
                _hasParsed = true;
                _isRepeatable &= isWhole && !NamedStatement && StatementHead.IsRepeatable(body[1..]);
                server.IsDirty |= !isWhole || StateScan.MayLeaveState(body);
                replies.Push(ReplyKind.Parse);
                break;
            case FrontendMessage.Bind:
                _isRepeatable &= _hasParsed; // Else it is of a statement whose text went by earlier.
                replies.Push(ReplyKind.Bind);
                break;
            case FrontendMessage.Close:
                replies.Push(ReplyKind.Close);
                break;
            case FrontendMessage.Describe:
                replies.Push(ReplyKind.Describe);
                break;
            case FrontendMessage.Execute:
                replies.Push(ReplyKind.Execute);
                break;
            case FrontendMessage.Sync:
                replies.Push(ReplyKind.Sync);
                break;
            case FrontendMessage.FunctionCall:
                _isRepeatable = false;
                server.IsDirty = true; // Called by number: it may be set_config.
                replies.Push(ReplyKind.FunctionCall);
                break;
            case FrontendMessage.CopyData:
                replies.Push(ReplyKind.CopyData);
                break;
            case FrontendMessage.CopyDone or FrontendMessage.CopyFail:
                replies.Push(ReplyKind.CopyEnd);
                break;
        }

        return true;
    }
}
