using Pooler.Backend;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// The client's half of the data path: passes whole messages, and parts of long ones, to the leased server, and pushes what
/// must come back before it does (architecture rule 2).
/// </summary>
internal sealed class RequestForwarder(ClientStatements statements, SessionPins pins, ReplyQueue replies, bool disablePqExec, long maxPacketSize)
{
    // What we send ahead of requests may be much longer than they are: at this much unsent the kernel takes its share first.
    private const int OutboxLimit = 4 * BlockPool.BlockSize;

    private static ReadOnlySpan<byte> FlushMessage => [FrontendMessage.Flush, 0, 0, 0, 4];

    private long _frameRemaining;
    private bool _isSwallowing, _hasFlushed;

    private CommitDoubt _doubt, _doubtBefore;

    // Of the unnamed statement, and of all named ones that pass as they are.
    private TransactionEffect _unnamedEffect, _namedEffect = TransactionEffect.Inside;

    /// <summary>A message was passed on in part: the server waits for the rest.</summary>
    public bool IsInFrame => _frameRemaining > 0 && !_isSwallowing;

    /// <summary>Stopped before a request that is there; the replies outstanding come first.</summary>
    public bool IsHeld { get; private set; }

    /// <summary>
    /// Bytes at the front of the input that were sent and are kept until the first reply to them: what has not run may be
    /// sent once more.
    /// </summary>
    public int Retained { get; private set; }

    /// <summary>
    /// The kept bytes were sent on a fresh lease: a server that says goodbye instead (57P01) has not run them, and another gets
    /// them (architecture rule 12).
    /// </summary>
    public bool MayRunElsewhere => Retained > 0 && _isRepeatable;

    /// <summary>
    /// The kept bytes are one batch outside a transaction with a prepared statement, whose plan may turn out to be invalid, and the
    /// client asks what its rows look like: one that goes by an earlier description would misread those of the new plan.
    /// </summary>
    public bool MayReplan => Retained > 0 && _isReplannable;

    /// <summary>The kept bytes are reads on a replica, outside a transaction: if it refuses them they may run elsewhere.</summary>
    public bool MayRefuse => Retained > 0 && _isRefusable;

    /// <summary>Something that was sent, and not fully answered, may be committed: nobody could tell if the server died now.</summary>
    public bool MayHaveCommitted => (IsInFrame ? _doubtBefore : _doubt).Is(replies.InCopy); // Of half a message nothing runs.

    /// <summary>What was sent last runs in a transaction block.</summary>
    public bool IsInBlock => _doubt.IsInBlock;

    /// <summary>The bytes of <see cref="Retained"/>.</summary>
    public ReadOnlySpan<byte> Kept(ConnectionInput input) => input.Unread[..Retained];

    /// <summary>A lease begins: nothing of the client's was sent.</summary>
    public void Begin()
    {
        _doubt.Settle(isInBlock: false);
        _unnamedEffect = TransactionEffect.Unknown;
    }

    /// <summary>Everything that was sent has been answered.</summary>
    public void Settle(ServerConnection server) => _doubt.Settle(isInBlock: server.Status != 'I');

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

    /// <summary>
    /// The replies that came let it go on. What was held as a new request is none when an error has the server skip to a Sync that
    /// is still to come, or when a COPY has begun, which ignores the Sync before it: the server waits for what is held then.
    /// </summary>
    public bool MayGoOn => !replies.IsFull && replies.Count <= ReplyQueue.Capacity / 2 && (!_waitsForSettled || replies.BatchOpen || replies.InCopy);

    /// <summary>A text under way may reset settings: what a RESET goes back to is set again before the next request.</summary>
    private bool _mayReset;

    // Portals bound in this round whose rows the client has not asked a description of.
    private int _undescribed;

    // The text of the unnamed statement went by in this transaction.
    private bool _knowsUnnamed;

    private bool _waitsForSettled, _isRepeatable, _isReplannable, _isRefusable, _hasPrepared, _hasParsed;

    /// <summary>The outbox was full enough: what is left follows when it is asked for.</summary>
    public bool HasMore { get; private set; }

    /// <summary>The last round created a named statement, which lives on this one server. Only without mapped names.</summary>
    public bool NamedStatement { get; private set; }

    /// <summary>pin = refuse.</summary>
    public bool RefusesPins { get; set; }

    /// <summary>Of an entry with routing: what is asked of us stands before the server until nothing is outstanding.</summary>
    public bool AnswersOwn { get; set; }

    /// <summary>On a server of a replica: what may follow there.</summary>
    public SessionRoute? Route { get; set; }

    /// <summary>Is told of what is sent.</summary>
    public StatementWatch? Watch { get; set; }

    /// <summary>Texts are searched for DEFAULT: the client has startup parameters, which that goes back to.</summary>
    public bool LooksForDefault { get; set; }

    /// <summary>It was found, once.</summary>
    public bool SaysDefault { get; private set; }

    /// <summary>
    /// Some text of this transaction may be a SET that outlives it. False: what its command tags say was SET LOCAL, which leaves
    /// nothing behind (outside a transaction it does nothing at all).
    /// </summary>
    public bool MaySet { get; private set; }

    /// <summary>Bytes the last round took.</summary>
    public int LastForwarded { get; private set; }

    public ErrorFields? Problem { get; private set; }

    /// <summary>The lease is over: of a message that goes nowhere so much is still to come, which is the reader's to drop.</summary>
    public long TakeLeftOut()
    {
        long length = _frameRemaining;
        _frameRemaining = 0;
        return length;
    }

    /// <summary>
    /// Forwards what is there. <paramref name="isContended"/>: other clients wait for this pool, so a pipelining one stops
    /// before its next request until it has its replies, and gives them their turn. <paramref name="mayRepeat"/>: the server
    /// holds nothing of this client yet, so another could run the same.
    /// </summary>
    public ForwardResult Forward(ConnectionInput input, ServerConnection server, bool isContended, bool mayRepeat)
    {
        ReadOnlySpan<byte> data = input.Unread[Retained..];
        if (data.IsEmpty && Retained > 0)
        {
            input.Advance(0);
            LastForwarded = 0;
            NamedStatement = HasMore = false;
            return ForwardResult.Done; // Woken for nothing: what is kept is kept.
        }

        var run = new RequestRun(server.Outbox, data);
        _hasFlushed &= replies.Count > 0;
        if (replies.IsSettled)
        {
            statements.Settled();
            _mayReset = false;
        }

        bool isFresh = replies.Count == 0 || (replies.Count == 1 && replies.HeadUse == ReplyUse.Swallow);
        _isReplannable = isFresh && server.Status == 'I' && !replies.BatchOpen;
        MaySet &= !_isReplannable;
        _knowsUnnamed &= !_isReplannable;
        _isRepeatable = mayRepeat && _isReplannable;
        _isRefusable = _isReplannable && Route != null;
        ForwardResult result = ForwardResult.Done;
        NamedStatement = HasMore = IsHeld = _waitsForSettled = _hasParsed = _hasPrepared = false;
        _undescribed = 0;
        while (!run.IsAtEnd)
        {
            ReadOnlySpan<byte> rest = run.Rest;
            if (_frameRemaining > 0)
            {
                int part = (int)Math.Min(_frameRemaining, rest.Length);
                _frameRemaining -= part;
                Pass(ref run, part, isLeftOut: _isSwallowing);
                continue;
            }

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
                Problem = SessionErrors.PacketTooLarge.Because($"The message has {length - 1} bytes, max_packet_size is {maxPacketSize}.");
                result = ForwardResult.Violation;
                break;
            }

            bool isWhole = rest.Length >= length;
            if (!isWhole && length <= BlockPool.BlockSize && type != FrontendMessage.CopyData)
            {
                break;
            }

            if (!isWhole && !statements.HasNames(type, rest))
            {
                if (rest.Length > BlockPool.BlockSize / 2)
                {
                    Problem = SessionErrors.NameTooLong.Fields();
                    result = ForwardResult.Violation;
                }

                break;
            }

            if (type == FrontendMessage.Terminate)
            {
                result = ForwardResult.Terminate;
                break;
            }

            bool isCopyFrame = type is FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail;
            bool startsRequest = !replies.BatchOpen && !isCopyFrame && !replies.InCopy;
            bool mustSettle = startsRequest && (isContended || statements.MustWait || _mayReset) && replies.Count > 0 && !isFresh;
            mustSettle |= startsRequest && !mustSettle && AnswersOwn && replies.Count > 0 && !isFresh && PoolerRequest.Find(rest, statements.HasConformingStrings).State != PoolerRequestState.None;
            mustSettle |= startsRequest && !mustSettle && Route is { } route && pins.Held == PinReason.None && !route.MayFollow(rest, isFresh, server.Status);
            bool isBarred = statements.IsBarred && replies.Count > 0 && type is not (FrontendMessage.Sync or FrontendMessage.Execute or FrontendMessage.Flush);
            if (replies.IsFull || mustSettle || (isBarred && !isFresh && !isCopyFrame && MayWaitFor(ref run)))
            {
                IsHeld = true;
                _waitsForSettled = mustSettle && !replies.IsFull;
                result = ForwardResult.Held;
                break;
            }

            if (server.Outbox.Pending > OutboxLimit)
            {
                HasMore = true;
                break;
            }

            // Architecture rule 11: COPY frames that no COPY can be waiting for go nowhere.
            _isSwallowing = isCopyFrame && !replies.InCopy && replies.Count == 0;
            int taken = (int)Math.Min(length, rest.Length);
            int statementsBefore = replies.Statements;
            StatementUse use = StatementUse.Untouched;
            if (!_isSwallowing && !Admit(ref run, server, rest[..taken], isWhole, out use))
            {
                result = ForwardResult.Violation;
                break;
            }

            if (Watch is { } watch && !_isSwallowing && !isCopyFrame)
            {
                watch.Sent(rest[..taken], runs: replies.Statements > statementsBefore, statements.IsOn ? statements.Last : null);
            }

            _frameRemaining = length - taken;
            Pass(ref run, taken, isLeftOut: _isSwallowing || use == StatementUse.Answered);
            isFresh = false;
        }

        run.Send();
        int at = run.At;
        LastForwarded = at;
        _isReplannable &= _hasPrepared && _undescribed <= 0 && !replies.BatchOpen;
        _isRefusable &= Route is { MayRunAgain: true } && !replies.BatchOpen && !replies.InCopy;
        if ((_isRepeatable || _isReplannable || _isRefusable) && replies.Count > 0 && at > 0 && _frameRemaining == 0)
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

    private static void Pass(ref RequestRun run, int count, bool isLeftOut)
    {
        if (isLeftOut)
        {
            run.Break();
            run.Skip(count);
        }

        run.At += count;
    }

    /// <summary>
    /// In the midst of a batch the server keeps its replies until Sync; a Flush of ours has it tell what it has done. Not in
    /// a COPY, which it would not interrupt for that.
    /// </summary>
    private bool MayWaitFor(ref RequestRun run)
    {
        if (replies.InCopy)
        {
            return false;
        }

        if (replies.BatchOpen && !_hasFlushed)
        {
            _hasFlushed = true;
            run.Break().Append(FlushMessage);
        }

        return true;
    }

    /// <summary>Pushes the reply a message asks for and notes what it may leave behind on the server.</summary>
    private bool Admit(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> frame, bool isWhole, out StatementUse use)
    {
        byte type = frame[0];
        ReadOnlySpan<byte> body = frame[FrameHeader.Size..];
        use = StatementUse.Untouched;
        if (replies.InCopy && type is not (FrontendMessage.CopyData or FrontendMessage.CopyDone or FrontendMessage.CopyFail
            or FrontendMessage.Flush or FrontendMessage.Sync))
        {
            Problem = SessionErrors.NotInCopy.Fields((char)type);
            return false;
        }

        if (type == FrontendMessage.Query && disablePqExec)
        {
            Problem = SessionErrors.NoSimpleQueries.Fields();
            return false;
        }

        if (Refuses(ref run, frame, isWhole))
        {
            use = StatementUse.Sent;
            return true;
        }

        Judge(server, type, body, isWhole);
        statements.AdmitUnnamed(ref run, server, type, body);
        if (!statements.IsOn)
        {
            NamedStatement |= type == FrontendMessage.Parse && (body.IsEmpty || body[0] != 0);
            _isRepeatable &= type != FrontendMessage.Bind || _hasParsed; // Else it is of a statement whose text went by earlier.
            MaySet |= type == FrontendMessage.Bind;
        }
        else if (type is FrontendMessage.Bind or FrontendMessage.Parse or FrontendMessage.Describe or FrontendMessage.Close or FrontendMessage.Query)
        {
            use = statements.Admit(ref run, server, frame, isWhole);
            JudgePrepared(type, use);
            _undescribed += type == FrontendMessage.Bind ? 1 : type == FrontendMessage.Describe && body.StartsWith("P"u8) ? -1 : 0;
        }

        Doubt(type, body, isWhole);
        if (use == StatementUse.Untouched && KindOf(type) is { } kind)
        {
            replies.Push(kind);
        }

        return true;
    }

    /// <summary>Whether the message may leave state behind, and whether it may be sent twice.</summary>
    private void Judge(ServerConnection server, byte type, ReadOnlySpan<byte> body, bool isWhole)
    {
        if (LooksForDefault && type is FrontendMessage.Query or FrontendMessage.Parse && (!isWhole || StateScan.MayReset(body)))
        {
            _mayReset = true;
            SaysDefault |= !isWhole || StateScan.SaysDefault(body);
        }

        switch (type)
        {
            case FrontendMessage.Query:
                NoteState(server, body, isWhole);
                _isRepeatable &= isWhole && StatementHead.IsRepeatable(body);
                break;
            case FrontendMessage.Parse when statements.IsOn && !body.IsEmpty && body[0] != 0:
                break; // It runs when it is bound.
            case FrontendMessage.Parse:
                _hasParsed = _knowsUnnamed = true;
                _isRepeatable &= isWhole && !body.IsEmpty && body[0] == 0 && StatementHead.IsRepeatable(body[1..]);
                NoteState(server, body[Math.Min(body.Length, body.IndexOf((byte)0) + 1)..], isWhole);
                break;
            case FrontendMessage.FunctionCall:
                _isRepeatable = false;
                server.MarkDirty(); // Called by number: it may be set_config.
                break;
        }
    }

    /// <summary>What would be in doubt if the server died from here on.</summary>
    private void Doubt(byte type, ReadOnlySpan<byte> body, bool isWhole)
    {
        if (!isWhole)
        {
            _doubtBefore = _doubt;
        }

        switch (type)
        {
            case FrontendMessage.Query:
                _doubt.Query(EffectOf(body, isWhole), replies.BatchOpen);
                break;
            case FrontendMessage.FunctionCall:
                _doubt.FunctionCall(replies.BatchOpen);
                break;
            case FrontendMessage.Parse when body.StartsWith("\0"u8):
                _unnamedEffect = EffectOf(body[1..], isWhole);
                break;
            case FrontendMessage.Parse when !statements.IsOn:
                // One of them that may commit, and the use of any may be its.
                TransactionEffect effect = EffectOf(body[Math.Min(body.Length, body.IndexOf((byte)0) + 1)..], isWhole);
                _namedEffect = effect == TransactionEffect.Inside ? _namedEffect : TransactionEffect.Unknown;
                break;
            case FrontendMessage.Bind:
                _doubt.Bind(EffectOfBound(body), IsPortalNamed(body));
                break;
            case FrontendMessage.Execute:
                _doubt.Execute(IsPortalNamed(body));
                break;
            case FrontendMessage.Sync:
                _doubt.Sync();
                break;
        }
    }

    private static TransactionEffect EffectOf(ReadOnlySpan<byte> text, bool isWhole) => isWhole ? TransactionEffects.Of(text) : TransactionEffect.Unknown;

    private TransactionEffect EffectOfBound(ReadOnlySpan<byte> bind) =>
        !IsStatementNamed(bind) ? _unnamedEffect
        : statements.IsOn ? statements.Last?.Effect ?? TransactionEffect.Unknown
        : _namedEffect;

    private static bool IsPortalNamed(ReadOnlySpan<byte> body) => !body.StartsWith("\0"u8);

    private static bool IsStatementNamed(ReadOnlySpan<byte> body) => !body[Math.Min(body.Length, body.IndexOf((byte)0) + 1)..].StartsWith("\0"u8);

    private void NoteState(ServerConnection server, ReadOnlySpan<byte> text, bool isWhole)
    {
        MaySet = MaySet || !isWhole || SetScan.MaySet(text);
        bool mayLeaveState = !isWhole || StateScan.MayLeaveState(text);
        if (mayLeaveState)
        {
            server.MarkDirty();
        }

        if (mayLeaveState || PinScan.IsLikely(text))
        {
            pins.Note(text, mayLeaveState);
        }
    }

    /// <summary>
    /// pin = refuse: in the place of the statement goes a text that PostgreSQL refuses as it would the statement itself; the client
    /// is given our error for it (<see cref="PinRefusal"/>).
    /// </summary>
    private bool Refuses(ref RequestRun run, ReadOnlySpan<byte> frame, bool isWhole)
    {
        bool isQuery = frame[0] == FrontendMessage.Query;
        if (!RefusesPins || !isWhole || !(isQuery || frame[0] == FrontendMessage.Parse))
        {
            return false;
        }

        ReadOnlySpan<byte> text = frame[FrameHeader.Size..];
        text = isQuery ? text : text[Math.Min(text.Length, text.IndexOf((byte)0) + 1)..];
        if (PinRefusal.Of(text) is not { } standIn)
        {
            return false;
        }

        pins.CountRefusal(standIn);
        PinRefusal.Write(run.Break(), isQuery, standIn);
        run.Skip(frame.Length);
        replies.Push(isQuery ? ReplyKind.Query : ReplyKind.Parse);
        _isRepeatable = _isReplannable = false;
        return true;
    }

    private void JudgePrepared(byte type, StatementUse use)
    {
        if (use == StatementUse.Answered)
        {
            _isRepeatable = _isReplannable = false; // The client gets our answer, and must not get it twice.
        }
        else if (statements.Last is { } statement)
        {
            _hasPrepared = true;
            _isRepeatable &= statement.IsRepeatable;
            MaySet |= type == FrontendMessage.Bind && statement.MaySet;
        }
        else if (type == FrontendMessage.Bind)
        {
            _isRepeatable &= _hasParsed;
            MaySet |= !_knowsUnnamed || statements.IsRaw;
        }
        else if (statements.IsRaw)
        {
            _isRepeatable = false;
        }
    }

    private static ReplyKind? KindOf(byte type) => type switch
    {
        FrontendMessage.Query => ReplyKind.Query,
        FrontendMessage.Parse => ReplyKind.Parse,
        FrontendMessage.Bind => ReplyKind.Bind,
        FrontendMessage.Close => ReplyKind.Close,
        FrontendMessage.Describe => ReplyKind.Describe,
        FrontendMessage.Execute => ReplyKind.Execute,
        FrontendMessage.Sync => ReplyKind.Sync,
        FrontendMessage.FunctionCall => ReplyKind.FunctionCall,
        FrontendMessage.CopyData => ReplyKind.CopyData,
        FrontendMessage.CopyDone or FrontendMessage.CopyFail => ReplyKind.CopyEnd,
        _ => null, // Flush asks for nothing of its own.
    };
}
