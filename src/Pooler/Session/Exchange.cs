using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// What one client has with servers: the lease of the moment, requests and replies under way, prepared names, pins, cancels; made
/// with its first request. The client's loop passes requests on; the server's loop calls <see cref="Receive"/>, which passes
/// replies back.
/// </summary>
internal sealed class Exchange : ServerOwner
{
    /// <summary>So many servers may die before a request is sent to them; then something else is wrong.</summary>
    private const int MaxUnsentTries = 32;

    private readonly ClientSession _session;
    private readonly Connection _client;
    private readonly SessionClock _clock;
    private readonly ReplyQueue _replies = new();
    private readonly RequestForwarder _forwarder;
    private readonly ReplyForwarder _replyForwarder;
    private readonly ClientStatements _statements;
    private readonly SessionPins _pins;

    private LeaseTimes _times;
    private StatementWatch? _watch;
    private Cancellation? _cancellation;
    private ServerSlot? _slot;
    private int _generation, _unsentTries;
    private bool _isPinned, _isTerminating, _hasRetried, _isReadyToForward, _isFirstRequest, _isRefused;

    public Exchange(ClientSession session, StatementCatalogue catalogue, SessionClock clock, bool disablePqExec, long maxPacketSize)
    {
        _session = session;
        _client = session.Client;
        _clock = clock;
        _times = new LeaseTimes(session.Client);
        _pins = new SessionPins(session);
        _statements = new ClientStatements(session, _pins, _replies, catalogue);
        _forwarder = new RequestForwarder(_statements, _pins, _replies, disablePqExec, maxPacketSize) { LooksForDefault = session.Startup.Count > 0 };
        _replyForwarder = new ReplyForwarder(session, this, _statements, _replies, clock);
    }

    public ClientSession Session => _session;

    /// <summary>The server held at the moment.</summary>
    public ServerConnection? Server => _slot?.Server;

    /// <summary>It has reset settings: before anything else of it runs they go back to its startup packet.</summary>
    public bool MustRestore { get; set; }

    /// <summary>A text with DEFAULT in it went by: a SET may be a RESET.</summary>
    public bool MaySetDefault => _forwarder.SaysDefault;

    /// <summary>The command tag SET may be that of a SET which outlives its transaction.</summary>
    public bool MaySet => _forwarder.MaySet;

    public bool AwaitsReplies => _replies.Count > 0;

    public bool IsInTransaction => _slot != null && _slot.Server.Status != 'I';

    /// <summary>There is a request that its client has no full answer to.</summary>
    public bool IsUnderWay => _session.Phase is SessionPhase.Waiting or SessionPhase.Syncing || (_session.Phase == SessionPhase.Leased && (_replies.Count > 0 || _isReadyToForward));

    /// <summary>The client has cancelled the request of the moment.</summary>
    public bool IsCanceled => _cancellation is { IsAsked: true };

    internal override Outbox? BlockedBy => _client.Outbox.IsCongested ? _client.Outbox : null;

    /// <summary>A request of the client's was answered, other than by us alone.</summary>
    public bool HasAnswered { get; private set; }

    /// <summary>The client's prepared statements.</summary>
    public ClientStatements Statements => _statements;

    /// <summary>Names of prepared statements this client has.</summary>
    public int PreparedStatements => _statements.Count;

    /// <summary>What keeps it on its server.</summary>
    public SessionPins Pins => _pins;

    /// <summary>The reasons for which it keeps its server beyond the transaction.</summary>
    public PinReason PinReasons => _pins.Held | (_isPinned || _statements.IsRaw ? PinReason.PreparedStatement : PinReason.None);

    /// <summary>Follows its statements; null while nobody wants to know of them.</summary>
    public StatementWatch? Watch => _watch;

    private bool IsPinned => PinReasons != PinReason.None;

    private IoThread Thread => _client.Owner;

    /// <summary>CancelRequests for what the client has asked for.</summary>
    public IReadOnlyList<CancelRequest> Cancels => _cancellation?.Requests ?? [];

    /// <summary>The server is to stop what the client has asked for, or never to see it.</summary>
    public void Cancel(CancelRequest request)
    {
        _cancellation ??= new Cancellation(_session, this);
        _cancellation.Ask(request);
        SendCancel();
        if (_session.Phase != SessionPhase.Leased || _isReadyToForward)
        {
            _session.Wake(); // No server has seen it: the client's loop answers.
        }
    }

    /// <summary>Step 7: the server is ours; bring it to this client's settings.</summary>
    public void Hold(ServerSlot slot)
    {
        ServerConnection server = slot.Server;
        _slot = slot;
        _generation = slot.Generation;
        _isReadyToForward = _isFirstRequest = true;
        _statements.Begin();
        _forwarder.Begin();
        _replyForwarder.Begin();
        server.Owner = this;
        server.Socket.DispatchFirst = false;
        _session.Stats.Assignments++;
        _pins.Begin(server);
        LookForWatch();
        _watch?.Leased(server, _clock.WaitSince);
        _forwarder.AnswersOwn = _session.Pool.ByHost != null;
        _forwarder.Route = _session.SplitRoute is { IsOnReplica: true } route && _session.Mode != PoolMode.Session ? route : null;
        if (LeaseBegin.Write(server, _session, _replies, _statements.IsOn))
        {
            server.Outbox.Flush();
            _times.BeginSync(slot.Times);
            _session.Enter(SessionPhase.Syncing);
        }
        else
        {
            _times.Begin(slot.Times);
            _session.Enter(SessionPhase.Leased);
        }
    }

    /// <summary>The client's bytes follow, until the server's or our own bounds say stop.</summary>
    public SessionNeed Forward()
    {
        ServerConnection server = _slot!.Server;
        if (_generation != _slot.Generation)
        {
            throw new InvalidOperationException("The lease has ended without its session.");
        }

        if (_replies.IsSettled)
        {
            _forwarder.Settle(server);
        }

        if (_replies.Statements == 0)
        {
            LookForWatch();
        }

        bool wasIdle = _replies.Count == 0;
        if (!MayForward(server, wasIdle))
        {
            return SessionNeed.Wake;
        }

        if (wasIdle && !_isReadyToForward && _forwarder.Route != null && !_forwarder.IsInFrame && server.Status == 'I' && _replies.IsSettled && !IsPinned)
        {
            // The next request may be for another host.
            AfterReplies(server, everythingUsed: server.Socket.Input.UnreadLength == 0);
            return _slot == null ? SessionNeed.Nothing : SessionNeed.Wake;
        }

        if (wasIdle && _replies.IsSettled && !_forwarder.IsInFrame && _forwarder.AnswersOwn)
        {
            switch (_session.AnswerOwn(server.Status))
            {
                case PoolerRequestState.Whole:
                    return SessionNeed.Nothing;
                case PoolerRequestState.Part:
                    _client.Input.Advance(0);
                    return SessionNeed.Input;
                case PoolerRequestState.Waits:
                    _client.Input.Advance(0);
                    return SessionNeed.Wake;
            }
        }

        ForwardResult result = PassOn(server);
        if (wasIdle && _replies.Count > 0)
        {
            _clock.QueryStart = Thread.Now;
            _clock.TransactionStart = IsInTransaction ? _clock.TransactionStart : _clock.QueryStart;
            _times.Sent();
        }

        _clock.Arm(Thread);
        if (_replies.IsSettled && !_isReadyToForward && result == ForwardResult.Done)
        {
            // The rest of a message whose request has failed before: the server was waiting for this only.
            AfterReplies(server, everythingUsed: server.Socket.Input.UnreadLength == 0);
            if (_slot == null)
            {
                return SessionNeed.Input;
            }
        }

        return NeedAfter(result, server);
    }

    /// <summary>The client has cancelled what its server has not seen: it goes to others. False when it was not so.</summary>
    public bool ReleaseIfCanceled()
    {
        if (!IsCanceled || !_isReadyToForward || !_replies.IsSettled || IsPinned)
        {
            return false;
        }

        _isReadyToForward = false;
        ReleaseServer();
        return true;
    }

    /// <summary>The client is gone: its server and its names are left in order.</summary>
    public void End()
    {
        ServerSlot? slot = _slot;
        _slot = null;
        _watch?.Ended();
        if (_statements.End())
        {
            slot?.Server.MarkDirty();
        }

        if (slot != null)
        {
            _times.End();
            LeaseEnd.Abandon(slot, _replies, _session.Settings, _forwarder.IsInFrame, finishFirst: _isTerminating);
        }

        _cancellation?.RequestEnded();
    }

    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int used = _replyForwarder.Forward(server, data);
        _times.PassedOn();
        if (_isRefused)
        {
            if (_replies.IsSettled && used == data.Length && server.Failure == null)
            {
                LeaveReplica(server);
            }

            return used;
        }

        if (_client.Outbox.Pending > 0)
        {
            _clock.Arm(Thread); // client_write_timeout has begun.
        }

        if (server.Failure == null)
        {
            AfterReplies(server, everythingUsed: used == data.Length);
        }

        return used;
    }

    internal override void Closed(ServerConnection server)
    {
        if (_slot?.Server != server)
        {
            return;
        }

        ServerSlot slot = _slot;
        bool isRead = MayReadAgain(server), goesElsewhere = _isRefused || MayGoElsewhere(isRead);
        bool isMissed = !goesElsewhere && !CanSpare(server);
        _statements.Undo();
        _slot = null;
        _times.End();
        slot.Pools.Remove(slot, server.Failure);
        if (goesElsewhere)
        {
            GoElsewhere();
        }
        else if (isMissed)
        {
            EndOverServer(server, isRead);
        }
        else
        {
            _session.EnterIdle(_forwarder.TakeLeftOut());
            _session.Wake();
        }
    }

    /// <summary>PgBouncer: the client of such a server ends with it, and so learns that its session is another now.</summary>
    internal override void EndIfFree(ServerConnection server, ErrorFields reason)
    {
        if (_slot?.Server == server && server.FrameRemaining == 0 && !_forwarder.IsInFrame)
        {
            _session.EndIfFree(reason);
        }
    }

    internal override void CancelEnded(ServerConnection server)
    {
        if (_replies.Count == 0)
        {
            _cancellation?.RequestEnded();
        }

        SendCancel();
        _session.Wake(); // What was held back may follow.
    }

    /// <summary>
    /// A cancel goes to the server once what must not be hit is through: our own SET, and what makes way for the names of an
    /// EXECUTE. A Parse of ours may be hit: its error is the client's answer.
    /// </summary>
    internal void SendCancel()
    {
        if (IsCanceled && _session.Phase == SessionPhase.Leased && _replies.Count > 0 && _replies.HeadUse != ReplyUse.Swallow)
        {
            _cancellation!.Send(_slot!.Server);
        }
    }

    /// <summary>The client has its ReadyForQuery, and nothing of that request is left to cancel.</summary>
    internal void RequestEnded()
    {
        _session.CountAnswered();
        _times.Answered();
        if (_slot is { Server.Status: (byte)'I' })
        {
            _session.SplitRoute?.Answered();
        }

        HasAnswered = true;
        _cancellation?.RequestEnded();
    }

    /// <summary>
    /// Architecture rule 12: a server that says goodbye (57P01) before any reply, while the whole request is still held and
    /// repeating it can do nothing twice, leads to one try on another server.
    /// </summary>
    internal bool TryAnotherServer(ServerConnection server, ErrorFields goodbye)
    {
        bool hasNotRun = _forwarder.MayRunElsewhere && !StatementHead.MaySayInto(_forwarder.Kept(_client.Input));
        if (!MayGoElsewhere(isRead: hasNotRun || _forwarder.MayRefuse))
        {
            return false;
        }

        ServerSlot slot = _slot!;
        _slot = null;
        _times.End();
        server.Owner = slot;
        _statements.Undo();
        server.Close(goodbye);
        GoElsewhere();
        return true;
    }

    /// <summary>
    /// The server of the moment is lost. What was not sent goes to the next one, as often as it takes; a read that nothing was
    /// answered of runs once more.
    /// </summary>
    private bool MayGoElsewhere(bool isRead)
    {
        bool isUnsent = _session.Phase == SessionPhase.Syncing || (_session.Phase == SessionPhase.Leased && _isReadyToForward);
        if (isUnsent ? _unsentTries >= MaxUnsentTries : !isRead || _hasRetried)
        {
            return false;
        }

        _unsentTries += isUnsent ? 1 : 0;
        _hasRetried |= !isUnsent;
        return true;
    }

    private void GoElsewhere()
    {
        if (_forwarder.MayRefuse && !_isRefused)
        {
            _forwarder.Route!.Refuse(isWrite: false); // Not to the same host again, which may be known to be gone only later.
        }

        _isRefused = false;
        _isReadyToForward = false;
        _replies.Clear();
        _watch?.Clear();
        _forwarder.TakeBack();
        _session.EnterIdle(leftOut: 0);
        _session.Wake();
    }

    /// <summary>It died without a word: what was sent may have run to its end, so it must be known to be a read.</summary>
    private bool MayReadAgain(ServerConnection server) =>
        server.FrameRemaining == 0 && (_forwarder.MayRefuse || (_forwarder.MayRunElsewhere && new RereadCheck(_session, _statements).IsRead(_forwarder.Kept(_client.Input))));

    /// <summary>
    /// The batch that is kept has failed over an invalid plan, outside a transaction and before anything of it went to the
    /// client: nothing has run, and it can be run again. Not if it was cancelled: the cancel may have spent itself on the first run.
    /// </summary>
    internal bool CanReplan => _session.Phase == SessionPhase.Leased && _forwarder.MayReplan && !_hasRetried && !IsCanceled && _replies is { Count: 1, Head: ReplyKind.Sync, BatchOpen: false };

    /// <summary>Once more, unseen: the statement is prepared anew ahead of it.</summary>
    internal void Replan()
    {
        _hasRetried = true;
        _isReadyToForward = true;
        _replies.Clear();
        _watch?.Clear();
        _replies.Push(ReplyKind.Sync, ReplyUse.Swallow); // It goes its way and ends the failed batch.
        _forwarder.TakeBack();
        _session.Wake();
    }

    /// <summary>What the client gets of its request so far is nothing: a replica that refuses it is not the last to be asked.</summary>
    internal bool MayRefuse => _forwarder.MayRefuse && !IsCanceled && _session.Phase == SessionPhase.Leased;

    /// <summary>The replica has refused what is under way, and what it still owes for it goes nowhere.</summary>
    internal bool IsRefused => _isRefused;

    /// <summary>The replica will not run it: unseen by the client it runs once more, on the primary or on another replica.</summary>
    internal void Refuse(bool isWrite)
    {
        _forwarder.Route!.Refuse(isWrite);
        _watch?.Clear();
        _isRefused = true;
    }

    /// <summary>The leased server has said something: it is alive and the request is its own.</summary>
    internal void Replied()
    {
        _times.Replied();
        if (_forwarder.Retained > 0)
        {
            if (_client.Input.IsFull)
            {
                _session.Wake(); // What was kept left no room to read on.
            }

            _forwarder.Forget(_client.Input);
        }

        _isFirstRequest &= _isReadyToForward;
        _hasRetried = false;
        _unsentTries = 0;
    }

    /// <summary>The server has taken the client's settings: its request may follow.</summary>
    internal void SettingsTaken()
    {
        if (_session.Phase == SessionPhase.Syncing)
        {
            _times.Synced();
            _session.Enter(SessionPhase.Leased);
            _session.Wake();
        }
        else if (_replies.Count == 0)
        {
            _cancellation?.RequestEnded(); // Nothing of the client's runs.
            _session.Wake();
        }
        else
        {
            SendCancel();
        }
    }

    /// <summary>All replies to what was refused are there and gone.</summary>
    private void LeaveReplica(ServerConnection server)
    {
        if (server.Status != 'I' || server.FrameRemaining > 0)
        {
            server.Close(ServerErrors.Violation.Fields("a refused read has left the server in a transaction")); // Closed goes on from here.
            return;
        }

        _isRefused = false;
        _isReadyToForward = false;
        if (_statements.TakeBack())
        {
            server.MarkDirty(); // It may have prepared what we have no record of.
        }

        _forwarder.TakeBack();
        ReleaseServer();
    }

    /// <summary>
    /// The client is told of no server that was lost, but if it ends now nobody can say whether what is under way was committed: the
    /// server may have done it already, and our cancel may come too late.
    /// </summary>
    public bool IsInDoubt => _slot is { Server: { Failure: null } server } && IsOpen(isAnswered: true) && _forwarder.MayHaveCommitted && !MayReadAgain(server);

    /// <summary>Something was sent and is not fully answered.</summary>
    private bool IsOpen(bool isAnswered) => _session.Phase == SessionPhase.Leased && !_isReadyToForward && !(_replies.IsSettled && isAnswered);

    /// <summary>The server died under this client.</summary>
    /// <param name="isRead">What was under way changes nothing.</param>
    /// <param name="isAnswered">There is no more under way than the queue of replies says.</param>
    internal void EndOverServer(ServerConnection server, bool isRead = false, bool isAnswered = true)
    {
        bool isOpen = IsOpen(isAnswered);
        ServerLoss loss = isOpen && _forwarder.MayHaveCommitted && !isRead ? ServerLoss.Unknown
            : (isOpen && !isRead) || server.Status != 'I' ? ServerLoss.RolledBack
            : ServerLoss.Nothing;
        _session.End(SessionEnd.OverServer(server, loss, _replyForwarder.LastWords));
    }

    /// <summary>Step 9: when everything is answered, the mode decides whether the lease ends.</summary>
    private void AfterReplies(ServerConnection server, bool everythingUsed)
    {
        if (_session.IsEnding || _session.Phase != SessionPhase.Leased || !_replies.IsSettled || _isReadyToForward)
        {
            if (_isReadyToForward || (_forwarder.IsHeld && _forwarder.MayGoOn))
            {
                _session.Wake();
            }

            return;
        }

        bool mustAsk = server.Status == 'I' && _pins.MustAsk(server);
        if ((MustRestore && server.Status != 'E') || mustAsk)
        {
            _session.Wake();
        }
        else if (everythingUsed && !server.Outbox.IsCongested && MayGo(server))
        {
            ReleaseServer();
        }
        else if (_forwarder.IsHeld)
        {
            _session.Wake();
        }

        _clock.Arm(Thread);
    }

    /// <summary>The server owes this client nothing and holds nothing of its: had it died a moment later, nobody would know.</summary>
    private bool CanSpare(ServerConnection server) =>
        _session.Phase == SessionPhase.Leased && _replies.IsSettled && MayGo(server) && !_pins.MustAsk(server);

    /// <summary>Nothing is half-way in either direction, and mode and pins let the client do with another server next time.</summary>
    private bool MayGo(ServerConnection server) => server.Status == 'I' && server.FrameRemaining == 0 && !_forwarder.IsInFrame
        && _session.Mode != PoolMode.Session && !IsPinned;

    private void ReleaseServer()
    {
        ServerSlot slot = _slot!;
        _slot = null;
        _times.End();
        _session.EnterIdle(_forwarder.TakeLeftOut());
        if (_client.Input.UnreadLength > 0)
        {
            _session.Wake();
        }

        LeaseEnd.GiveBack(slot, _session.Settings);
    }

    /// <summary>Whether the server can be given more now; what is ours to send ahead goes first.</summary>
    private bool MayForward(ServerConnection server, bool wasIdle)
    {
        if (_isRefused || server.Outbox.HoldsUp(_client.Input))
        {
            return false;
        }

        if (server.CancelsInFlight > 0 && (wasIdle || _cancellation is { IsLate: true }))
        {
            return false; // A cancel of what was answered is still under way: it must not hit what follows.
        }

        if (!_replies.IsSettled || _forwarder.IsInFrame)
        {
            return true;
        }

        if (MustRestore && server.Status != 'E')
        {
            MustRestore = false;
            LeaseBegin.Restore(server, _session, _replies);
        }
        else if (!_isReadyToForward && server.Status == 'I' && _pins.MustAsk(server))
        {
            LeaseBegin.Send(server, _replies, _pins.Ask(server));
            return false; // What follows may be for another server.
        }

        return true;
    }

    /// <summary>No statement is under way: whether they are followed may change.</summary>
    private void LookForWatch()
    {
        if (_session.Statements is not { IsOn: true } table)
        {
            _watch = null;
        }
        else if (_watch == null)
        {
            _watch = new StatementWatch(_session, table);
            _watch.Leased(_slot!.Server, asked: Thread.Now);
        }

        _forwarder.Watch = _watch;
        _watch?.Look();
    }

    private ForwardResult PassOn(ServerConnection server)
    {
        PoolSettings settings = _session.Settings;
        bool isShared = settings.Mode != PoolMode.Session;
        _forwarder.RefusesPins = settings.Pin == PinRule.Refuse && isShared;
        ForwardResult result = _forwarder.Forward(_client.Input, server, isContended: isShared && _slot!.Pool.HasWaiters, mayRepeat: _isFirstRequest && !server.IsDirty);
        _isReadyToForward &= _forwarder.LastForwarded == 0;
        SendCancel();
        _session.Stats.Received += _forwarder.LastForwarded;
        if (_replies.IsAnswerDue && server.FrameRemaining == 0 && !MayRefuse)
        {
            _replyForwarder.WriteAnswers();
            _client.Outbox.Flush();
            if (_forwarder.IsHeld && _forwarder.MayGoOn)
            {
                _session.Wake(); // It waited for this only: no server will call.
            }
        }

        if (_forwarder.NamedStatement)
        {
            _isPinned |= isShared;
            server.MarkDirty();
        }

        return result;
    }

    private SessionNeed NeedAfter(ForwardResult result, ServerConnection server)
    {
        switch (result)
        {
            case ForwardResult.Terminate:
                _isTerminating = true;
                _session.End(SessionEnd.Goodbye);
                return SessionNeed.Wake;
            case ForwardResult.Violation:
                _session.End(SessionEnd.Over(_forwarder.Problem!));
                return SessionNeed.Wake;
            case ForwardResult.Held:
                return SessionNeed.Wake;
        }

        if (server.Outbox.HoldsUp(_client.Input))
        {
            return SessionNeed.Wake;
        }

        if (_forwarder.HasMore)
        {
            _session.Wake();
        }

        return SessionNeed.Input;
    }
}
