using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// One logged-in client, and the orchestrator of the walk of a query (src/README.md has its steps by number). Its own loop
/// reads the client and writes to the leased server; the server's loop calls <see cref="Receive"/>, which writes to the client.
/// Both run on one I/O thread, so it takes no lock.
/// </summary>
internal sealed class ClientSession : ServerOwner
{
    private enum Need : byte
    {
        /// <summary>More bytes of the client.</summary>
        Input,

        /// <summary>Something else: a server, room in an outbox, replies. The client is watched, not read.</summary>
        Wake,
    }

    private readonly Connection _client;
    private readonly ServerPool _pool;
    private readonly Pools _pools;
    private readonly ReplyQueue _replies = new();
    private readonly SessionClock _clock;
    // The user's own settings are the pool's: they change with it.
    private readonly bool _followsPool;
    private readonly RequestReader _reader;
    private readonly RequestForwarder _forwarder;
    private readonly ReplyForwarder _replyForwarder;
    private readonly ClientStatements _statements;
    private readonly SessionPins _pins;
    private readonly Action<ClientSession, SessionEnd> _ended;

    private PoolSettings _settings;
    private LeaseRequest? _request;
    private Cancellation? _cancellation;
    private int _requestNumber;
    private ServerSlot? _slot;
    private int _generation;
    private SessionEnd? _end;
    private bool _isPinned, _isTerminating, _hasRetried, _isReadyToForward, _isFirstRequest;

    public ClientSession(
        Connection client, ClientIdentity identity, ServerPool pool, Pools pools, PoolSettings settings, bool disablePqExec, long maxPacketSize, SessionParameters parameters, Action<ClientSession, SessionEnd> ended)
    {
        _client = client;
        Identity = identity;
        _pool = pool;
        _pools = pools;
        _settings = settings;
        Parameters = parameters;
        _ended = ended;
        _clock = new SessionClock(this);
        _clock.Use(settings);
        _followsPool = ReferenceEquals(settings, pool.Settings);
        _statements = new ClientStatements(this, _replies, pools.Statements);
        _pins = new SessionPins(this);
        _forwarder = new RequestForwarder(_statements, _pins, _replies, disablePqExec, maxPacketSize);
        _reader = new RequestReader(_forwarder);
        _replyForwarder = new ReplyForwarder(this, _statements, _replies, _clock);
        ConnectedAt = _clock.IdleSince = _clock.TransactionStart = client.Owner.Now;
    }

    public ClientIdentity Identity { get; }

    /// <summary>Thread clock, microseconds.</summary>
    public long ConnectedAt { get; }

    public long AgeSeconds => (Thread.Now - ConnectedAt) / 1_000_000;

    public ServerPool Pool => _pool;

    public Connection Client => _client;

    public IoThread Thread => _client.Owner;

    public SessionPhase Phase { get; private set; }

    /// <summary>The settings that follow this client from server to server, as it was last told of them.</summary>
    public SessionParameters Parameters { get; set; }

    /// <summary>What its startup packet asked for: what a RESET goes back to.</summary>
    public StartupParameters Startup { get; init; } = StartupParameters.Empty;

    /// <summary>Those of it that its servers do not report: they are set on each server it is lent.</summary>
    public StartupParameters Unreported { get; init; } = StartupParameters.Empty;

    /// <summary>It has reset settings: before anything else of it runs they go back to its startup packet.</summary>
    public bool MustRestore { get; set; }

    /// <summary>A text with DEFAULT in it went by: a SET may be a RESET.</summary>
    public bool MaySetDefault => _forwarder.SaysDefault;

    /// <summary>The command tag SET may be that of a SET which outlives its transaction.</summary>
    public bool MaySet => _forwarder.MaySet;

    /// <summary>The server held at the moment.</summary>
    public ServerConnection? Server => _slot?.Server;

    /// <summary>What its client cancels with.</summary>
    public CancelKey CancelKey { get; set; }

    /// <summary>Whether the client was given the long form of its key (protocol 3.2): then the short one opens nothing.</summary>
    public bool HasLongKey { get; init; }

    /// <summary>Counts answered requests, so that a cancel finds the one it was sent for or none. Read by any thread.</summary>
    public int RequestNumber => Volatile.Read(ref _requestNumber);

    public bool AwaitsReplies => _replies.Count > 0;

    public bool IsInTransaction => _slot != null && _slot.Server.Status != 'I';

    /// <summary>Since when the client takes nothing although we have something for it (µs); 0 when it does.</summary>
    public long WriteStalledSince => _slot != null && _client.Outbox.Pending > 0 ? _client.LastProgress : 0;

    public long RequestedAt => _clock.QueryStart;

    internal override Outbox? BlockedBy => _client.Outbox.IsCongested ? _client.Outbox : null;

    public bool IsEnding => _end != null;

    public PoolMode Mode => _settings.Mode;

    public PoolSettings Settings => _settings;

    /// <summary>Names of prepared statements this client has.</summary>
    public int PreparedStatements => _statements.Count;

    /// <summary>What keeps it on its server.</summary>
    public SessionPins Pins => _pins;

    /// <summary>The reasons for which it keeps its server beyond the transaction.</summary>
    public PinReason PinReasons => _pins.Held | (_isPinned || _statements.IsRaw ? PinReason.PreparedStatement : PinReason.None);

    private bool IsPinned => PinReasons != PinReason.None;

    internal PoolStats Stats => _pool.Stats[Thread.Index];

    public void Start()
    {
        _forwarder.LooksForDefault = Startup.Count > 0;
        _ = RunAsync();
    }

    /// <summary>Asks the session to end; its own loop does it. The first reason stays.</summary>
    public void End(SessionEnd end)
    {
        _end ??= end;
        Wake();
    }

    public void Wake() => _client.Input.Wake();

    /// <summary>
    /// A CancelRequest with this session's key came while the request of this number was the next to be answered. If that has
    /// ended meanwhile, or never begun, nothing is cancelled.
    /// </summary>
    public void Cancel(int number, CancelRequest request)
    {
        bool isUnderWay = Phase is SessionPhase.Waiting or SessionPhase.Syncing || (Phase == SessionPhase.Leased && (_replies.Count > 0 || _isReadyToForward));
        if (number != _requestNumber || !isUnderWay || _end != null)
        {
            request.Done();
            return;
        }

        _cancellation ??= new Cancellation(this);
        _cancellation.Ask(request);
        SendCancel();
        if (Phase != SessionPhase.Leased || _isReadyToForward)
        {
            Wake(); // No server has seen it: the client's loop answers.
        }
    }

    /// <summary>Whether the server still runs the request of this number for us.</summary>
    public bool Runs(int number, ServerConnection server) => number == _requestNumber && _slot?.Server == server && _replies.Count > 0;

    /// <summary>PgBouncer's notice to a client that waits long for a server (query_wait_notify).</summary>
    public void NotifyQueued()
    {
        new MessageWriter(_client.Outbox).WriteNotice("NOTICE", "00000", "No server connection available in postgres backend, client being queued");
        _client.Outbox.Flush();
    }

    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int used = _replyForwarder.Forward(server, data);
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
        if (_slot?.Server == server)
        {
            ServerSlot slot = _slot;
            bool isMissed = !CanSpare(server);
            _statements.Undo();
            _slot = null;
            _pools.Remove(slot, server.Failure);
            if (isMissed)
            {
                EndOverServer(server);
            }
            else
            {
                Enter(SessionPhase.Idle);
                Wake();
            }
        }
    }

    internal override void CancelEnded(ServerConnection server)
    {
        if (_replies.Count == 0)
        {
            _cancellation?.RequestEnded();
        }

        SendCancel();
        Wake(); // What was held back may follow.
    }

    /// <summary>Step 9: when everything is answered, the mode decides whether the lease ends.</summary>
    private void AfterReplies(ServerConnection server, bool everythingUsed)
    {
        if (_end != null || Phase != SessionPhase.Leased || !_replies.IsSettled || _isReadyToForward)
        {
            if (_isReadyToForward || (_forwarder.IsHeld && _forwarder.MayGoOn))
            {
                Wake();
            }

            return;
        }

        bool isHalfWay = !everythingUsed || server.FrameRemaining > 0 || _forwarder.IsInFrame || server.Outbox.IsCongested;
        bool mustAsk = server.Status == 'I' && _pins.MustAsk(server);
        if ((MustRestore && server.Status != 'E') || mustAsk)
        {
            Wake();
        }
        else if (server.Status == 'I' && !isHalfWay && _settings.Mode != PoolMode.Session && !IsPinned)
        {
            ReleaseServer();
        }
        else if (_forwarder.IsHeld)
        {
            Wake();
        }

        _clock.Arm(Thread);
    }

    /// <summary>The server owes this client nothing and holds nothing of its: had it died a moment later, nobody would know.</summary>
    private bool CanSpare(ServerConnection server) => Phase == SessionPhase.Leased && _replies.IsSettled && server.Status == 'I'
        && server.FrameRemaining == 0 && !_forwarder.IsInFrame && _settings.Mode != PoolMode.Session && !IsPinned && !_pins.MustAsk(server);

    private void ReleaseServer()
    {
        ServerSlot slot = _slot!;
        _slot = null;
        Enter(SessionPhase.Idle);
        if (_client.Input.UnreadLength > 0)
        {
            Wake();
        }

        LeaseEnd.GiveBack(slot, _settings);
    }

    private async Task RunAsync()
    {
        ConnectionInput input = _client.Input;
        try
        {
            while (_end == null)
            {
                Need need = Advance();
                if (_end != null)
                {
                    break;
                }

                if (need == Need.Input)
                {
                    await input.ReadAsync();
                }
                else
                {
                    await input.ParkAsync();
                }

                if (input.IsEnded || (need == Need.Wake && _client.HasHungUp && Phase == SessionPhase.Waiting))
                {
                    Leave();
                }
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Session: {e}");
            _end ??= SessionEnd.Fatal("internal error", "XX000");
        }

        Finish(_end!);
    }

    private void Leave()
    {
        if (_end == null && !(_isTerminating && _slot != null))
        {
            _end = SessionEnd.Quiet(_slot is { Server.Status: not (byte)'I' } ? "client disconnect while server was not ready" : "client unexpected eof");
        }
    }

    /// <summary>Steps 3 to 7, as far as they go without waiting.</summary>
    private Need Advance()
    {
        while (_end == null)
        {
            switch (Phase)
            {
                case SessionPhase.Idle:
                    if (_client.Outbox.IsCongested)
                    {
                        _client.Outbox.WakeWhenDrained(_client.Input);
                        return Need.Wake;
                    }

                    switch (_reader.Read(_client, out SessionEnd? end))
                    {
                        case RequestRead.More:
                            return Need.Input;
                        case RequestRead.Request:
                            Lease(atHead: false);
                            break;
                        case RequestRead.Answered:
                            _clock.IdleSince = Thread.Now;
                            break;
                        default:
                            _end = end;
                            break;
                    }

                    break;
                case SessionPhase.Waiting when IsCanceled:
                    if (!_pools.Leave(_request!))
                    {
                        _request!.State = WaiterState.Idle;
                        _request.Slot!.TakeBack();
                    }

                    AnswerCanceled();
                    break;
                case SessionPhase.Waiting:
                    if (!TakeGrant())
                    {
                        _client.Input.Advance(0);
                        _client.Input.Shrink();
                        return _client.Input.IsFull ? Need.Wake : Need.Input;
                    }

                    break;
                case SessionPhase.Syncing:
                    _client.Input.Advance(0);
                    return _client.Input.IsFull ? Need.Wake : Need.Input;
                case SessionPhase.Leased when IsCanceled && _isReadyToForward && _replies.IsSettled && !IsPinned:
                    _isReadyToForward = false;
                    ReleaseServer();
                    AnswerCanceled();
                    break;
                case SessionPhase.Leased:
                    return Forward();
                default:
                    return Need.Wake;
            }
        }

        return Need.Wake;
    }

    private bool IsCanceled => _cancellation is { IsAsked: true };

    /// <summary>The client has cancelled a request that no server has seen: in PostgreSQL's words, and the session goes on.</summary>
    private void AnswerCanceled()
    {
        _reader.Refuse(_client, "57014", "canceling statement due to user request");
        _clock.IdleSince = Thread.Now;
        Enter(SessionPhase.Idle);
        RequestEnded();
    }

    /// <summary>
    /// A cancel goes to the server once what must not be hit is through: our own SET, and what makes way for the names of an
    /// EXECUTE. A Parse of ours may be hit: its error is the client's answer.
    /// </summary>
    internal void SendCancel()
    {
        if (IsCanceled && Phase == SessionPhase.Leased && _replies.Count > 0 && _replies.HeadUse != ReplyUse.Swallow)
        {
            _cancellation!.Send(_slot!.Server, _settings.CancelWaitTimeout);
        }
    }

    /// <summary>The client has its ReadyForQuery: what it cancels from now on is another request.</summary>
    internal void RequestEnded()
    {
        Volatile.Write(ref _requestNumber, _requestNumber + 1);
        _cancellation?.RequestEnded();
    }

    private void Lease(bool atHead)
    {
        if (IsCanceled)
        {
            AnswerCanceled(); // It was on its way to a server that is gone.
            return;
        }

        if (!atHead)
        {
            if (_followsPool && !ReferenceEquals(_settings, _pool.Settings))
            {
                _settings = _pool.Settings; // RELOAD or SET: in force from this request on.
                _clock.Use(_settings);
            }

            _clock.QueryStart = _clock.TransactionStart = _clock.WaitSince = Thread.Now;
        }

        ServerSlot? slot = _pools.Acquire(_pool, _request ??= new LeaseRequest(this), Thread, atHead);
        if (slot != null)
        {
            Hold(slot);
        }
        else if (Phase != SessionPhase.Waiting)
        {
            _clock.Notified = false;
            Enter(SessionPhase.Waiting);
        }
    }

    /// <summary>The queue's answer, if there is one yet.</summary>
    private bool TakeGrant()
    {
        LeaseRequest request = _request!;
        switch (request.State)
        {
            case WaiterState.Granted:
                ServerSlot slot = request.Slot!;
                request.State = WaiterState.Idle;
                Stats.WaitTime += Thread.Now - _clock.WaitSince;
                if (slot.Server.IsClosed || slot.Server.Failure != null)
                {
                    Lease(atHead: true); // It died on the way: back to the head of the queue.
                    return Phase != SessionPhase.Waiting;
                }

                Hold(slot);
                return true;
            case WaiterState.Failed:
                _end = new SessionEnd(request.Error!.Message, request.Error);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Step 7: the server is ours; bring it to this client's settings.</summary>
    private void Hold(ServerSlot slot)
    {
        ServerConnection server = slot.Server;
        _slot = slot;
        _generation = slot.Generation;
        _isReadyToForward = _isFirstRequest = true;
        _reader.Restart();
        _statements.Begin();
        server.Owner = this;
        server.Socket.DispatchFirst = false;
        Stats.Assignments++;
        _pins.Begin(server);
        string? changes = Parameters.ChangesFrom(server.Parameters, server.LoginParameters, out bool allReported);
        if (!Unreported.Matches(server.Startup!))
        {
            PushResets(server);
            changes += Unreported.SetsFrom(server.Startup!); // "" at least: its own ReadyForQuery is waited for.
            server.Startup = null;
            allReported = false;
        }

        if (server.Statements.Count > 0 && !_statements.IsOn)
        {
            changes += "DEALLOCATE ALL;"; // Names of this client pass as they are: it must not meet those of others.
            allReported = false;
        }

        if (changes == null)
        {
            Enter(SessionPhase.Leased);
            return;
        }

        _replies.Push(ReplyKind.Query, ReplyUse.Swallow);
        new MessageWriter(server.Outbox).WriteQuery(changes);
        if (allReported)
        {
            Enter(SessionPhase.Leased); // In one flush with the client's bytes (architecture rule 9).
            return;
        }

        server.Outbox.Flush();
        Enter(SessionPhase.Syncing);
    }

    /// <summary>A query of its own: should the RESETs fail, that is not this client's doing.</summary>
    private void PushResets(ServerConnection server)
    {
        if (server.Startup!.ResetsFor(Unreported) is { } resets)
        {
            _replies.Push(ReplyKind.Query, ReplyUse.Swallow);
            new MessageWriter(server.Outbox).WriteQuery(resets);
        }
    }

    /// <summary>The client has reset settings: in PostgreSQL that brings back those of its startup packet.</summary>
    private void Restore(ServerConnection server)
    {
        MustRestore = false;
        server.Startup = null;
        SendOurs(server, Startup.RestoreQuery(_pool.Key.User));
    }

    private void SendOurs(ServerConnection server, string query)
    {
        _replies.Push(ReplyKind.Query, ReplyUse.Swallow);
        new MessageWriter(server.Outbox).WriteQuery(query);
        server.Outbox.Flush();
    }

    /// <summary>The client's bytes follow, until the server's or our own bounds say stop.</summary>
    private Need Forward()
    {
        ServerConnection server = _slot!.Server;
        if (_generation != _slot.Generation)
        {
            throw new InvalidOperationException("The lease has ended without its session.");
        }

        if (server.Outbox.IsCongested)
        {
            server.Outbox.WakeWhenDrained(_client.Input);
            return Need.Wake;
        }

        bool wasIdle = _replies.Count == 0;
        if (server.CancelsInFlight > 0 && (wasIdle || _cancellation is { IsLate: true }))
        {
            return Need.Wake; // A cancel of what was answered is still under way: it must not hit what follows.
        }

        if (MustRestore && _replies.IsSettled && server.Status != 'E' && !_forwarder.IsInFrame)
        {
            Restore(server);
        }
        else if (_replies.IsSettled && !_isReadyToForward && server.Status == 'I' && !_forwarder.IsInFrame && _pins.MustAsk(server))
        {
            SendOurs(server, _pins.Ask(server));
            return Need.Wake; // What follows may be for another server.
        }

        _forwarder.RefusesPins = _settings.Pin == PinRule.Refuse && _settings.Mode != PoolMode.Session;
        ForwardResult result = _forwarder.Forward(_client.Input, server, isContended: _settings.Mode != PoolMode.Session && _pool.HasWaiters, mayRepeat: _isFirstRequest && !server.IsDirty);
        _isReadyToForward &= _forwarder.LastForwarded == 0;
        SendCancel();
        Stats.Received += _forwarder.LastForwarded;
        if (_replies.IsAnswerDue && server.FrameRemaining == 0)
        {
            _replyForwarder.WriteAnswers();
            _client.Outbox.Flush();
            if (_forwarder.IsHeld && _forwarder.MayGoOn)
            {
                Wake(); // It waited for this only: no server will call.
            }
        }

        if (wasIdle && _replies.Count > 0)
        {
            _clock.QueryStart = Thread.Now;
            _clock.TransactionStart = IsInTransaction ? _clock.TransactionStart : _clock.QueryStart;
        }

        _isPinned |= _forwarder.NamedStatement && _settings.Mode != PoolMode.Session;
        if (_forwarder.NamedStatement)
        {
            server.MarkDirty();
        }

        _clock.Arm(Thread);
        if (_replies.IsSettled && !_isReadyToForward && result == ForwardResult.Done)
        {
            // The rest of a message whose request has failed before: the server was waiting for this only.
            AfterReplies(server, everythingUsed: server.Socket.Input.UnreadLength == 0);
            if (_slot == null)
            {
                return Need.Input;
            }
        }

        switch (result)
        {
            case ForwardResult.Terminate:
                _isTerminating = true;
                _end = SessionEnd.Quiet("client close request");
                return Need.Wake;
            case ForwardResult.Violation:
                _end = SessionEnd.Fatal(_forwarder.Problem!);
                return Need.Wake;
            case ForwardResult.Held:
                return Need.Wake;
        }

        if (server.Outbox.IsCongested)
        {
            server.Outbox.WakeWhenDrained(_client.Input);
            return Need.Wake;
        }

        if (_forwarder.HasMore)
        {
            Wake();
        }

        return Need.Input;
    }

    /// <summary>
    /// Architecture rule 12: a server that says goodbye (57P01) before any reply, while the whole request is still held and
    /// repeating it can do nothing twice, leads to one try on another server.
    /// </summary>
    internal bool TryAnotherServer(ServerConnection server, ErrorFields goodbye)
    {
        bool nothingRan = Phase == SessionPhase.Syncing || _forwarder.MayRunElsewhere;
        if (!nothingRan || _hasRetried)
        {
            return false;
        }

        _hasRetried = true;
        _isReadyToForward = false;
        ServerSlot slot = _slot!;
        _slot = null;
        server.Owner = slot;
        _statements.Undo();
        server.Close(goodbye);
        _replies.Clear();
        _forwarder.TakeBack();
        Enter(SessionPhase.Idle);
        Wake();
        return true;
    }

    /// <summary>
    /// The batch that is kept has failed over an invalid plan, outside a transaction and before anything of it went to the
    /// client: nothing has run, and it can be run again. Not if it was cancelled: the cancel may have spent itself on the first run.
    /// </summary>
    internal bool CanReplan => Phase == SessionPhase.Leased && _forwarder.MayReplan && !_hasRetried && !IsCanceled && _replies is { Count: 1, Head: ReplyKind.Sync, BatchOpen: false };

    /// <summary>Once more, unseen: the statement is prepared anew ahead of it.</summary>
    internal void Replan()
    {
        _hasRetried = true;
        _isReadyToForward = true;
        _replies.Clear();
        _replies.Push(ReplyKind.Sync, ReplyUse.Swallow); // It goes its way and ends the failed batch.
        _forwarder.TakeBack();
        Wake();
    }

    /// <summary>The leased server has said something: it is alive and the request is its own.</summary>
    internal void Replied()
    {
        if (_forwarder.Retained > 0)
        {
            if (_client.Input.IsFull)
            {
                Wake(); // What was kept left no room to read on.
            }

            _forwarder.Forget(_client.Input);
        }

        _isFirstRequest &= _isReadyToForward;
        _hasRetried = false;
    }

    /// <summary>The server has taken the client's settings: its request may follow.</summary>
    internal void SettingsTaken()
    {
        if (Phase == SessionPhase.Syncing)
        {
            Enter(SessionPhase.Leased);
            Wake();
        }
        else if (_replies.Count == 0)
        {
            _cancellation?.RequestEnded(); // Nothing of the client's runs.
            Wake();
        }
        else
        {
            SendCancel();
        }
    }

    private void Enter(SessionPhase phase)
    {
        Phase = phase;
        _clock.Arm(Thread);
    }

    /// <summary>The server died under this client.</summary>
    internal void EndOverServer(ServerConnection server) => End(SessionEnd.OverServer(server, AwaitsReplies));

    /// <summary>The session's last act: the queue, the server and the client are left in order.</summary>
    private void Finish(SessionEnd end)
    {
        Thread.Wheel.Clear(_clock);
        if (Phase == SessionPhase.Waiting && !_pools.Leave(_request!))
        {
            _request!.Slot!.TakeBack();
        }

        bool isMidFrame = _slot is { Server.FrameRemaining: > 0 };
        GiveUpServer();
        _cancellation?.RequestEnded();
        _statements.End();
        Phase = SessionPhase.Ended;
        if (end.Error is { } error && !isMidFrame)
        {
            new MessageWriter(_client.Outbox).WriteErrorResponse(error.Severity, error.SqlState, error.Message, error.Detail, error.Hint);
        }

        _ended(this, end);
        if (_client.Input.IsEnded)
        {
            _client.Close();
            _client.Input.Complete();
        }
        else
        {
            _client.CloseGracefully();
        }
    }

    /// <summary>A client that leaves costs a clean-up, not the server; only half a frame sent to it cannot be taken back.</summary>
    private void GiveUpServer()
    {
        if (_slot == null)
        {
            return;
        }

        ServerSlot slot = _slot;
        _slot = null;
        if (_statements.End())
        {
            slot.Server.MarkDirty();
        }

        LeaseEnd.Abandon(slot, _replies, _settings, _forwarder.IsInFrame, finishFirst: _isTerminating);
    }
}
