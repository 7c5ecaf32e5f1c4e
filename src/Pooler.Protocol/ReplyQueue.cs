namespace Pooler.Protocol;

/// <summary>
/// What must still come back from one server, oldest first, run-length coded. Whoever writes to a server pushes here first;
/// whoever reads from it asks <see cref="Accept"/> about each message. Follows PostgreSQL's own rules (55.2 Message Flow): an
/// error in the extended protocol drops everything up to the next Sync, COPY IN swallows Sync.
/// </summary>
public sealed class ReplyQueue
{
    /// <summary>Requests that may be outstanding; at the bound the client is not read.</summary>
    public const int Capacity = 16_384;

    private const int FirstSize = 8;

    private Entry[] _entries = [];
    private int _head, _runs, _dropped;

    // The head has its closing answer (CommandComplete …): ReadyForQuery may follow.
    private bool _isAnswered;

    // Something that a failed COPY answers and a running one does not was sent into a COPY, behind data. Should the COPY fail,
    // nobody knows which it was.
    private bool _isDoubtful, _hasCopyData;

    /// <summary>Requests outstanding.</summary>
    public int Count { get; private set; }

    public bool IsFull => Count >= Capacity;

    /// <summary>Those of them that run something of the client's: Query and Execute.</summary>
    public int Statements { get; private set; }

    /// <summary>Extended-protocol messages were sent after the last Sync: the server owes no ReadyForQuery for them.</summary>
    public bool BatchOpen { get; private set; }

    /// <summary>An error came and the server discards everything until a Sync that was not sent yet.</summary>
    public bool Skipping { get; private set; }

    /// <summary>The server waits for COPY data, and its end was not sent yet.</summary>
    public bool InCopy { get; private set; }

    /// <summary>Nothing is outstanding, nothing half-way: at ReadyForQuery(I) the server owes and knows nothing of this client.</summary>
    public bool IsSettled => Count == 0 && !BatchOpen && !InCopy;

    /// <summary>The oldest request. Only with <see cref="Count"/> above 0.</summary>
    public ReplyKind Head => _entries[_head].Kind;

    public ReplyUse HeadUse => _entries[_head].Use;

    /// <summary>The oldest request's outcome matters to whoever pushed it.</summary>
    public bool HeadIsNoted => _entries[_head].IsNoted;

    /// <summary>The server has answered everything before it: now it is our turn (<see cref="TakeAnswer"/>).</summary>
    public bool IsAnswerDue => Count > 0 && HeadUse == ReplyUse.Answer;

    /// <summary><paramref name="isNoted"/>: whoever pushes it wants to know whether it was done, or dropped by an error.</summary>
    public void Push(ReplyKind kind, ReplyUse use = ReplyUse.Forward, bool isNoted = false)
    {
        switch (kind)
        {
            case ReplyKind.Sync:
                if (InCopy)
                {
                    // Ignored by a server in COPY IN, answered by one whose COPY has failed meanwhile: see Accept.
                    _isDoubtful |= _hasCopyData;
                    return;
                }

                BatchOpen = false;
                Skipping = false;
                break;
            case ReplyKind.CopyData:
                _hasCopyData = InCopy;
                if (InCopy || Count == 0 || Skipping)
                {
                    return;
                }

                break;
            case ReplyKind.CopyEnd:
                if (InCopy)
                {
                    InCopy = false;
                    return; // The server is known to wait for it: the command's own answer follows.
                }

                if (Count == 0 || Skipping)
                {
                    return;
                }

                break;
            default:
                if (Skipping)
                {
                    return; // A server that skips to Sync reads and forgets it, Query included.
                }

                BatchOpen = kind <= ReplyKind.Execute; // A Query or FunctionCall brings a ReadyForQuery of its own.

                break;
        }

        Append(kind, use, isNoted);
    }

    /// <summary>Pops a request that we answer ourselves. Only when <see cref="IsAnswerDue"/>.</summary>
    public ReplyKind TakeAnswer()
    {
        ReplyKind kind = Head;
        Pop();
        return kind;
    }

    /// <summary>Noted requests that errors have dropped since the last look: they never ran.</summary>
    public int TakeDropped()
    {
        int dropped = _dropped;
        _dropped = 0;
        return dropped;
    }

    /// <summary>Forgets everything: the server that owed it is gone.</summary>
    public void Clear()
    {
        (_head, _runs, Count, _dropped, Statements) = (0, 0, 0, 0, 0);
        _isAnswered = _isDoubtful = false;
        BatchOpen = Skipping = InCopy = false;
    }

    /// <summary>Takes one message type from the server and moves on.</summary>
    public ReplyVerdict Accept(byte type)
    {
        if (type is BackendMessage.NoticeResponse or BackendMessage.ParameterStatus or BackendMessage.NotificationResponse)
        {
            return ReplyVerdict.Asynchronous;
        }

        if (Count == 0)
        {
            return ReplyVerdict.Unexpected;
        }

        bool isOutOfStep = type == BackendMessage.ErrorResponse ? _isDoubtful : type == BackendMessage.ReadyForQuery && !MayEnd(Head);
        if (isOutOfStep)
        {
            return ReplyVerdict.Unexpected;
        }

        ReplyUse use = HeadUse;
        if (use == ReplyUse.Answer)
        {
            return ReplyVerdict.Unexpected;
        }

        bool isForClient = use == ReplyUse.Forward || (use == ReplyUse.Ahead && type == BackendMessage.ErrorResponse);
        ReplyVerdict verdict = isForClient ? ReplyVerdict.Forward : ReplyVerdict.Swallow;
        switch (Step(Head, type))
        {
            case Move.Stay:
                _isAnswered = type is BackendMessage.CommandComplete or BackendMessage.EmptyQueryResponse or BackendMessage.FunctionCallResponse;
                _isDoubtful &= type != BackendMessage.CommandComplete;
                return verdict;
            case Move.Pop:
                _isDoubtful &= type != BackendMessage.CommandComplete;
                Pop();
                return verdict;
            case Move.Fail:
                InCopy = false;
                DropToSync();
                return verdict;
            case Move.ErrorStay:
                InCopy = false;
                _isAnswered = true;
                return verdict;
            case Move.CopyIn:
                return EnterCopyIn() ? verdict : ReplyVerdict.Unexpected;
            default:
                return ReplyVerdict.Unexpected;
        }
    }

    /// <summary>ReadyForQuery ends a request only behind its answer; a Sync asks for nothing else.</summary>
    private bool MayEnd(ReplyKind head) => head == ReplyKind.Sync || _isAnswered;

    private enum Move : byte
    {
        Wrong,
        Stay,
        Pop,
        Fail,
        ErrorStay,
        CopyIn,
    }

    private static Move Step(ReplyKind head, byte type)
    {
        bool isError = type == BackendMessage.ErrorResponse;
        switch (head)
        {
            case ReplyKind.Parse:
                return isError ? Move.Fail : type == BackendMessage.ParseComplete ? Move.Pop : Move.Wrong;
            case ReplyKind.Bind:
                return isError ? Move.Fail : type == BackendMessage.BindComplete ? Move.Pop : Move.Wrong;
            case ReplyKind.Close:
                return isError ? Move.Fail : type == BackendMessage.CloseComplete ? Move.Pop : Move.Wrong;
            case ReplyKind.Describe:
                return type switch
                {
                    BackendMessage.RowDescription or BackendMessage.NoData => Move.Pop,
                    BackendMessage.ParameterDescription => Move.Stay,
                    BackendMessage.ErrorResponse => Move.Fail,
                    _ => Move.Wrong,
                };
            case ReplyKind.Execute:
                return type switch
                {
                    BackendMessage.DataRow or BackendMessage.CopyOutResponse or BackendMessage.CopyData or BackendMessage.CopyDone => Move.Stay,
                    BackendMessage.CommandComplete or BackendMessage.EmptyQueryResponse or BackendMessage.PortalSuspended => Move.Pop,
                    BackendMessage.CopyInResponse => Move.CopyIn,
                    BackendMessage.ErrorResponse => Move.Fail,
                    _ => Move.Wrong,
                };
            case ReplyKind.Query:
                return type switch
                {
                    BackendMessage.DataRow or BackendMessage.RowDescription or BackendMessage.CommandComplete or BackendMessage.EmptyQueryResponse
                        or BackendMessage.CopyOutResponse or BackendMessage.CopyData or BackendMessage.CopyDone => Move.Stay,
                    BackendMessage.ReadyForQuery => Move.Pop,
                    BackendMessage.CopyInResponse => Move.CopyIn,
                    BackendMessage.ErrorResponse => Move.ErrorStay,
                    _ => Move.Wrong,
                };
            case ReplyKind.Sync:
                // The implicit transaction commits at Sync, which may fail.
                return type == BackendMessage.ReadyForQuery ? Move.Pop : isError ? Move.ErrorStay : Move.Wrong;
            case ReplyKind.FunctionCall:
                return type switch
                {
                    BackendMessage.FunctionCallResponse => Move.Stay,
                    BackendMessage.ReadyForQuery => Move.Pop,
                    BackendMessage.ErrorResponse => Move.ErrorStay,
                    _ => Move.Wrong,
                };
            default:
                return Move.Wrong;
        }
    }

    private void Append(ReplyKind kind, ReplyUse use, bool isNoted)
    {
        Count++;
        Statements += IsStatement(kind, use);
        if (_runs > 0)
        {
            ref Entry last = ref _entries[(_head + _runs - 1) & (_entries.Length - 1)];
            if (last.Kind == kind && last.Use == use && last.IsNoted == isNoted)
            {
                last.Length++;
                return;
            }
        }

        if (_runs == _entries.Length)
        {
            Grow();
        }

        _entries[(_head + _runs++) & (_entries.Length - 1)] = new Entry(kind, use, isNoted);
    }

    private void Pop()
    {
        PopOne();
        while (Count > 0 && Head is ReplyKind.CopyData or ReplyKind.CopyEnd)
        {
            PopOne(); // A stray COPY frame: a server outside COPY ignores it.
        }
    }

    private void PopOne()
    {
        Count--;
        _isAnswered = false;
        Statements -= IsStatement(Head, HeadUse);
        if (--_entries[_head].Length == 0)
        {
            _head = (_head + 1) & (_entries.Length - 1);
            _runs--;
        }
    }

    private static int IsStatement(ReplyKind kind, ReplyUse use) => kind is ReplyKind.Query or ReplyKind.Execute && use == ReplyUse.Forward ? 1 : 0;

    private void DropToSync()
    {
        while (Count > 0 && Head != ReplyKind.Sync)
        {
            _dropped += HeadIsNoted ? 1 : 0;
            PopOne();
        }

        if (Count == 0)
        {
            Skipping = BatchOpen = true;
        }
    }

    /// <summary>
    /// The server reads COPY data from here on: Syncs sent behind the command are ignored by it, up to the first CopyDone or
    /// CopyFail, which ends the COPY. (libpq sends Sync right behind Execute and once more behind CopyDone.) False when there is a
    /// request among the data that the server was not sent: it would have failed the COPY, which waits in vain now.
    /// </summary>
    private bool EnterCopyIn()
    {
        Entry[] rest = new Entry[_runs];
        for (int i = 0; i < rest.Length; i++)
        {
            rest[i] = _entries[(_head + i) & (_entries.Length - 1)];
        }

        _isAnswered = _isDoubtful = false;
        bool inCopy = true, hasData = false, isWhole = true, batchOpen = rest[0].Kind == ReplyKind.Execute;
        (_runs, Count, Statements, _head) = (0, 0, 0, 0);
        Skipping = false;
        for (int i = 0; i < rest.Length; i++)
        {
            for (; rest[i].Length > 0; rest[i].Length--)
            {
                if (i > 0 && inCopy && rest[i].Kind is ReplyKind.Sync or ReplyKind.CopyData or ReplyKind.CopyEnd)
                {
                    hasData |= rest[i].Kind == ReplyKind.CopyData;
                    _isDoubtful |= hasData && rest[i].Kind == ReplyKind.Sync;
                    inCopy = rest[i].Kind != ReplyKind.CopyEnd;
                    continue;
                }

                // A request in the midst of COPY data fails the COPY, or is run when the data has failed it before.
                _isDoubtful |= i > 0 && inCopy;
                isWhole &= !inCopy || rest[i].Use != ReplyUse.Answer;

                if (i > 0)
                {
                    batchOpen = rest[i].Kind <= ReplyKind.Execute || (batchOpen && rest[i].Kind is ReplyKind.CopyData or ReplyKind.CopyEnd);
                }

                Append(rest[i].Kind, rest[i].Use, rest[i].IsNoted);
            }
        }

        InCopy = inCopy;
        _hasCopyData = hasData;
        BatchOpen = batchOpen;
        return isWhole;
    }

    private void Grow()
    {
        var larger = new Entry[Math.Max(FirstSize, _entries.Length * 2)];
        for (int i = 0; i < _runs; i++)
        {
            larger[i] = _entries[(_head + i) & (_entries.Length - 1)];
        }

        _entries = larger;
        _head = 0;
    }

    private struct Entry(ReplyKind kind, ReplyUse use, bool isNoted)
    {
        public readonly ReplyKind Kind = kind;
        public readonly ReplyUse Use = use;
        public readonly bool IsNoted = isNoted;
        public ushort Length = 1;
    }
}
