using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;

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
    private readonly LeaseRequest _request;
    private readonly RequestForwarder _forwarder;
    private readonly Action<ClientSession, SessionEnd> _ended;

    private PoolSettings _settings;
    private ServerSlot? _slot;
    private int _generation;
    private SessionEnd? _end;
    private int _scanned;
    private bool _isPinned, _isTerminating;
    private ErrorFields? _syncError;

    public ClientSession(
        Connection client, ClientIdentity identity, ServerPool pool, Pools pools, PoolSettings settings, bool disablePqExec, SessionParameters parameters, Action<ClientSession, SessionEnd> ended)
    {
        _client = client;
        Identity = identity;
        _pool = pool;
        _pools = pools;
        _settings = settings;
        Parameters = parameters;
        _ended = ended;
        _request = new LeaseRequest(this);
        _clock = new SessionClock(this);
        _clock.Use(settings);
        _forwarder = new RequestForwarder(_replies, disablePqExec);
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
    public SessionParameters Parameters { get; private set; }

    /// <summary>The server held at the moment.</summary>
    public ServerConnection? Server => _slot?.Server;

    public bool AwaitsReplies => _replies.Count > 0;

    public bool IsInTransaction => _slot != null && _slot.Server.Status != 'I';

    /// <summary>Since when the client takes nothing although we have something for it (µs); 0 when it does.</summary>
    public long WriteStalledSince => _slot != null && _client.Outbox.Pending > 0 ? _client.LastProgress : 0;

    /// <summary>Since when it waits for a server, µs; 0 when it does not.</summary>
    public long WaitingSince => Phase == SessionPhase.Waiting ? _clock.WaitSince : 0;

    public long RequestedAt => _clock.QueryStart;

    internal override Outbox? BlockedBy => _client.Outbox.Pending > 0 ? _client.Outbox : null;

    private PoolStats Stats => _pool.Stats[Thread.Index];

    public void Start() => _ = RunAsync();

    /// <summary>Asks the session to end; its own loop does it. The first reason stays.</summary>
    public void End(SessionEnd end)
    {
        _end ??= end;
        Wake();
    }

    public void Wake() => _client.Input.Wake();

    /// <summary>PgBouncer's notice to a client that waits long for a server (query_wait_notify).</summary>
    public void NotifyQueued()
    {
        new MessageWriter(_client.Outbox).WriteNotice("NOTICE", "00000", "No server connection available in postgres backend, client being queued");
        _client.Outbox.Flush();
    }

    /// <summary>Step 8: the server's bytes go to the client in the longest run of whole frames; only headers are looked at.</summary>
    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int at = 0, runStart = 0;
        while (at < data.Length && _end == null)
        {
            if (server.FrameRemaining > 0)
            {
                // Only frames that are forwarded are passed on in parts; our own replies are waited for as a whole.
                int part = (int)Math.Min(server.FrameRemaining, data.Length - at);
                server.FrameRemaining -= part;
                at += part;
                continue;
            }

            ReadOnlySpan<byte> rest = data[at..];
            if (rest.Length < FrameHeader.Size)
            {
                break;
            }

            long length = FrameHeader.FrameLength(rest);
            byte type = rest[0];
            bool isWhole = rest.Length >= length;
            bool isOurs = _replies.Count > 0 && _replies.HeadUse == ReplyUse.Swallow;
            if (!isWhole && length <= BlockPool.BlockSize && (isOurs || MattersAsWhole(type)))
            {
                break;
            }

            ReadOnlySpan<byte> body = isWhole ? rest[FrameHeader.Size..(int)length] : default;
            ReplyVerdict verdict = length == 0 || (isOurs && !isWhole) ? ReplyVerdict.Unexpected : _replies.Accept(type);
            if (!Handle(server, verdict, type, body, isOurs))
            {
                _client.Outbox.Send(data[runStart..at]);
                at += isWhole ? (int)length : rest.Length;
                runStart = at;
                if (server.IsClosed || server.Failure != null)
                {
                    return data.Length;
                }

                continue;
            }

            int taken = (int)Math.Min(length, rest.Length);
            server.FrameRemaining = length - taken;
            at += taken;
        }

        if (at > runStart)
        {
            Stats.Sent += at - runStart;
            _client.Outbox.Send(data[runStart..at]);
        }

        AfterReplies(server, everythingUsed: at == data.Length);
        return at;
    }

    internal override void Closed(ServerConnection server)
    {
        if (_slot?.Server == server)
        {
            ServerSlot slot = _slot;
            _slot = null;
            _pools.Remove(slot, server.Failure);
            EndOverServer(server);
        }
    }

    private static bool MattersAsWhole(byte type) => type is BackendMessage.CommandComplete or BackendMessage.ReadyForQuery
        or BackendMessage.ParameterStatus or BackendMessage.ErrorResponse;

    /// <summary>Takes one frame of the server; false when the client must not see it.</summary>
    private bool Handle(ServerConnection server, ReplyVerdict verdict, byte type, ReadOnlySpan<byte> body, bool isOurs)
    {
        switch (verdict)
        {
            case ReplyVerdict.Forward:
                return HandleReply(server, type, body);
            case ReplyVerdict.Asynchronous:
                if (type == BackendMessage.ParameterStatus)
                {
                    return HandleParameter(server, body, isOurs);
                }

                return !isOurs || type == BackendMessage.NotificationResponse;
            case ReplyVerdict.Swallow:
                HandleSyncReply(server, type, body);
                return false;
            default:
                HandleUnexpected(server, type, body);
                return false;
        }
    }

    private bool HandleReply(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case BackendMessage.CommandComplete:
                // Too long to be a tag of PostgreSQL's: assume the worst of it.
                server.IsDirty |= body.IsEmpty || Sql.CommandTag.LeavesState(body[..^1]);
                return true;
            case BackendMessage.ReadyForQuery:
                return HandleReady(server, body);
            case BackendMessage.ErrorResponse when body.IndexOf("VFATAL\0"u8) >= 0 || body.IndexOf("VPANIC\0"u8) >= 0:
                // The client gets it as it is; the server closes behind it.
                server.Close(ErrorFields.Parse(body));
                End(SessionEnd.Quiet(server.Failure!.Message));
                return true;
            default:
                return true;
        }
    }

    private bool HandleReady(ServerConnection server, ReadOnlySpan<byte> body)
    {
        if (body.Length != 1 || body[0] is not ((byte)'I' or (byte)'T' or (byte)'E'))
        {
            server.Close("protocol violation: malformed ReadyForQuery from server", "08P01");
            return false;
        }

        long now = Thread.Now;
        server.Status = body[0];
        Stats.QueryTime += now - _clock.QueryStart;
        Stats.Queries++;
        _clock.IdleSince = now;
        _clock.QueryStart = now;
        if (body[0] == 'I')
        {
            Stats.Transactions++;
            Stats.TransactionTime += now - _clock.TransactionStart;
            _clock.TransactionStart = now;
        }
        else if (_settings.Mode == PoolMode.Statement)
        {
            End(SessionEnd.Fatal("transaction blocks not allowed in statement pooling mode"));
            return false;
        }

        return true;
    }

    private bool HandleParameter(ServerConnection server, ReadOnlySpan<byte> body, bool isOurs)
    {
        if (body.IsEmpty)
        {
            // Longer than a block: it passes, but nobody knows what it says.
            server.IsDirty = true;
            return !isOurs;
        }

        int index = server.Record(body, out string value);
        if (index < 0)
        {
            return true;
        }

        // What our own SET brought about the client knows already, unless the server spells it differently.
        bool isNews = Parameters[index] != value;
        Parameters = Parameters.With(index, value, reported: true);
        return !isOurs || isNews;
    }

    /// <summary>A reply to the SET statements of step 7.</summary>
    private void HandleSyncReply(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        if (type == BackendMessage.ErrorResponse)
        {
            _syncError = ErrorFields.Parse(body);
        }
        else if (type == BackendMessage.ReadyForQuery)
        {
            server.Status = body.Length == 1 ? body[0] : (byte)0;
            if (_syncError != null || server.Status != 'I')
            {
                EndOverRefusedSync(server);
                return;
            }

            // What was accepted without a report is what the server had all along, in its own spelling.
            Parameters = server.Parameters;
            if (Phase == SessionPhase.Syncing)
            {
                Enter(SessionPhase.Leased);
                Wake();
            }
        }
    }

    private void EndOverRefusedSync(ServerConnection server)
    {
        ErrorFields error = _syncError ?? new ErrorFields("FATAL", "08P01", "the server did not take the client's settings", null, null);
        if (Phase == SessionPhase.Syncing)
        {
            // Nothing of the request was sent: the server is as it was.
            End(new SessionEnd(error.Message, error with { Severity = "FATAL" }));
            return;
        }

        // The request went along with values this server itself had reported; it may have run.
        server.Close("the server refused settings it had reported itself", "08P01");
        End(SessionEnd.Fatal($"the server refused the client's settings ({error.Message}); the outcome of the request is unknown", "08007"));
    }

    private void HandleUnexpected(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        if (type == BackendMessage.ErrorResponse && !body.IsEmpty)
        {
            // Unasked for: the server says goodbye (idle_in_transaction_session_timeout, pg_terminate_backend …).
            server.Close(ErrorFields.Parse(body));
            EndOverServer(server);
            return;
        }

        server.Close($"protocol violation: unexpected message '{(char)type}' from server", "08P01");
        EndOverServer(server);
    }

    /// <summary>Step 9: when everything is answered, the mode decides whether the lease ends.</summary>
    private void AfterReplies(ServerConnection server, bool everythingUsed)
    {
        if (_end != null || Phase != SessionPhase.Leased || !_replies.IsSettled)
        {
            if (_forwarder.IsHeld && _forwarder.MayGoOn)
            {
                Wake();
            }

            return;
        }

        bool isHalfWay = !everythingUsed || server.FrameRemaining > 0 || _forwarder.IsInFrame || server.Outbox.Pending > 0;
        if (server.Status == 'I' && !isHalfWay && _settings.Mode != PoolMode.Session && !_isPinned)
        {
            ReleaseServer();
        }
        else if (_forwarder.IsHeld)
        {
            Wake();
        }

        _clock.Arm(Thread);
    }

    private void ReleaseServer()
    {
        ServerSlot slot = _slot!;
        _slot = null;
        _scanned = 0;
        Enter(SessionPhase.Idle);
        if (_client.Input.UnreadLength > 0)
        {
            Wake();
        }

        Queue<string>? resets = ResetQueries(slot.Server);
        if (resets == null)
        {
            slot.TakeBack();
            return;
        }

        _pools.SetHousekeeping(slot);
        Housekeeping.CleanUp(slot.Server, new ReplyQueue(), resets, _settings.ServerCleanupTimeout, slot, _ => TakeBackClean(slot));
    }

    /// <summary>What must run on the server before the next client has it; null for nothing.</summary>
    private Queue<string>? ResetQueries(ServerConnection server)
    {
        Queue<string>? queries = null;
        bool always = _settings.ServerResetQueryAlways || _settings.Mode == PoolMode.Session;
        if (always && _settings.ServerResetQuery.Length > 0)
        {
            (queries = new Queue<string>()).Enqueue(_settings.ServerResetQuery);
        }

        if (server.IsDirty && !(always && _settings.ServerResetQuery.Equals("DISCARD ALL", StringComparison.OrdinalIgnoreCase)))
        {
            (queries ??= new Queue<string>()).Enqueue("DISCARD ALL");
        }

        return queries;
    }

    private static void TakeBackClean(ServerSlot slot)
    {
        // DISCARD ALL brought back what the login had; other reset queries report what they change.
        if (slot.Server.IsDirty)
        {
            slot.Server.IsDirty = false;
            slot.Server.Parameters = slot.Server.LoginParameters;
        }

        slot.TakeBack();
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
                    if (_client.Outbox.Pending > 0)
                    {
                        _client.Outbox.WakeWhenDrained(_client.Input);
                        return Need.Wake;
                    }

                    if (!ReadRequest())
                    {
                        return Need.Input;
                    }

                    break;
                case SessionPhase.Waiting:
                    if (!TakeGrant())
                    {
                        _client.Input.Advance(0);
                        return _client.Input.IsFull ? Need.Wake : Need.Input;
                    }

                    break;
                case SessionPhase.Syncing:
                    _client.Input.Advance(0);
                    return _client.Input.IsFull ? Need.Wake : Need.Input;
                case SessionPhase.Leased:
                    return Forward();
                default:
                    return Need.Wake;
            }
        }

        return Need.Wake;
    }

    /// <summary>Steps 3 to 6: finds a whole request and asks for a server. False: more must be read.</summary>
    private bool ReadRequest()
    {
        ConnectionInput input = _client.Input;
        if (_forwarder.IsDiscarding && !_forwarder.DiscardRest(input))
        {
            return false;
        }

        switch (RequestScanner.Scan(input.Unread, ref _scanned, out long front))
        {
            case RequestScan.Request:
                Lease(atHead: false);
                return true;
            case RequestScan.LoneSync:
                // Step 4: a Sync alone asks nothing of a server.
                input.Advance(FrameHeader.Size);
                new MessageWriter(_client.Outbox).WriteReadyForQuery((byte)'I');
                _client.Outbox.Flush();
                _clock.IdleSince = Thread.Now;
                return true;
            case RequestScan.Stray:
                // Architecture rule 11: a COPY frame outside COPY is swallowed and never leases a server.
                _forwarder.Discard(input, front);
                _scanned = 0;
                return true;
            case RequestScan.Terminate:
                _end = SessionEnd.Quiet("client close request");
                return true;
            case RequestScan.Violation:
                _end = SessionEnd.Fatal($"invalid message from client: type '{Printable(input.Unread[_scanned])}'");
                return true;
            default:
                input.Advance(0);
                return false;
        }
    }

    private static char Printable(byte b) => b is > 31 and < 127 ? (char)b : '?';

    private void Lease(bool atHead)
    {
        if (!atHead)
        {
            _clock.QueryStart = _clock.TransactionStart = _clock.WaitSince = Thread.Now;
        }

        ServerSlot? slot = _pools.Acquire(_pool, _request, Thread, atHead);
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
        switch (_request.State)
        {
            case WaiterState.Granted:
                ServerSlot slot = _request.Slot!;
                _request.State = WaiterState.Idle;
                Stats.WaitTime += Thread.Now - _clock.WaitSince;
                if (slot.Server.IsClosed || slot.Server.Failure != null)
                {
                    Lease(atHead: true); // It died on the way: back to the head of the queue.
                    return Phase != SessionPhase.Waiting;
                }

                Hold(slot);
                return true;
            case WaiterState.Failed:
                _end = new SessionEnd(_request.Error!.Message, _request.Error);
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
        server.Owner = this;
        server.Socket.DispatchFirst = false;
        Stats.Assignments++;
        if (Parameters.Matches(server.Parameters))
        {
            Enter(SessionPhase.Leased);
            return;
        }

        string? changes = Parameters.ChangesFrom(server.Parameters, out bool allReported);
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

    /// <summary>The client's bytes follow, until the server's or our own bounds say stop.</summary>
    private Need Forward()
    {
        ServerConnection server = _slot!.Server;
        if (_generation != _slot.Generation)
        {
            throw new InvalidOperationException("The lease has ended without its session.");
        }

        if (server.Outbox.Pending > 0 && server.Outbox.IsBlocked)
        {
            server.Outbox.WakeWhenDrained(_client.Input);
            return Need.Wake;
        }

        int before = _client.Input.UnreadLength;
        bool wasIdle = _replies.Count == 0;
        ForwardResult result = _forwarder.Forward(_client.Input, server, isContended: _settings.Mode != PoolMode.Session && _pool.HasWaiters);
        Stats.Received += before - _client.Input.UnreadLength;
        if (wasIdle && _replies.Count > 0)
        {
            _clock.QueryStart = Thread.Now;
        }

        _isPinned |= _forwarder.NamedStatement && _settings.Mode != PoolMode.Session;
        server.IsDirty |= _forwarder.NamedStatement;
        _clock.Arm(Thread);
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

        if (server.Outbox.Pending > 0)
        {
            server.Outbox.WakeWhenDrained(_client.Input);
            return Need.Wake;
        }

        return Need.Input;
    }

    private void Enter(SessionPhase phase)
    {
        Phase = phase;
        _clock.Arm(Thread);
    }

    /// <summary>The server died under this client.</summary>
    private void EndOverServer(ServerConnection server)
    {
        ErrorFields failure = server.Failure!;
        bool isServersWord = failure.SqlState is not "08006" and not "08P01";
        string message = isServersWord ? failure.Message : AwaitsReplies ? $"{failure.Message} (the outcome of the request is unknown)" : failure.Message;
        string sqlState = isServersWord ? failure.SqlState : AwaitsReplies ? "08007" : failure.SqlState;
        End(new SessionEnd(message, new ErrorFields("FATAL", sqlState, message, failure.Detail, failure.Hint)));
    }

    /// <summary>The session's last act: the queue, the server and the client are left in order.</summary>
    private void Finish(SessionEnd end)
    {
        Thread.Wheel.Clear(_clock);
        if (Phase == SessionPhase.Waiting && !_pools.Leave(_request))
        {
            _request.Slot!.TakeBack();
        }

        bool isMidFrame = _slot is { Server.FrameRemaining: > 0 };
        GiveUpServer();
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
        slot.Server.Owner = slot;
        if (slot.Server.IsClosed || slot.Server.Failure != null)
        {
            return; // Its loop tells the slot.
        }

        if (_forwarder.IsInFrame)
        {
            slot.Server.Close("client disconnect in the middle of a message", "08006");
            return;
        }

        _pools.SetHousekeeping(slot);
        IEnumerable<string> resets = ResetQueries(slot.Server) ?? [];
        if (_isTerminating)
        {
            Housekeeping.FinishThenCleanUp(slot.Server, _replies, resets, _settings.ServerCleanupTimeout, slot, _ => TakeBackClean(slot));
        }
        else
        {
            Housekeeping.CleanUp(slot.Server, _replies, resets, _settings.ServerCleanupTimeout, slot, _ => TakeBackClean(slot));
        }
    }
}
