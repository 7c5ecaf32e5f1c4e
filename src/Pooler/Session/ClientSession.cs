using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;
using Pooler.Statements;

namespace Pooler.Session;

/// <summary>
/// One logged-in client, and the orchestrator of the walk of a query (src/README.md has its steps by number): its loop reads the
/// client, finds the next request and gets it a server. What then goes on between the two is its <see cref="Session.Exchange"/>,
/// which a client that has not asked for anything does without. All of it runs on one I/O thread, so it takes no lock.
/// </summary>
internal sealed class ClientSession
{
    private readonly Connection _client;
    private readonly ServerPool _pool;
    private readonly Pools _pools;
    // The user's own settings are the pool's: they change with it.
    private readonly bool _followsPool, _disablePqExec;
    private readonly long _maxPacketSize;
    private readonly Action<ClientSession, SessionEnd> _ended;

    private RequestReader _reader;
    private PoolSettings _settings;
    // Made when they are first needed: most of many clients are idle.
    private SessionClock? _clock;
    private Exchange? _exchange;
    private LeaseRequest? _request;
    private SessionRoute? _route;
    private bool _isSplit;
    private ServerPool? _home;
    private int _requestNumber;
    private SessionEnd? _end;

    public ClientSession(
        Connection client, ClientIdentity identity, ServerPool pool, Pools pools, PoolSettings settings, bool disablePqExec, long maxPacketSize, SessionParameters parameters, Action<ClientSession, SessionEnd> ended)
    {
        _client = client;
        Identity = identity;
        _pool = pool;
        _pools = pools;
        _settings = settings;
        _disablePqExec = disablePqExec;
        _maxPacketSize = maxPacketSize;
        Parameters = parameters;
        _ended = ended;
        _followsPool = ReferenceEquals(settings, pool.Settings);
        ConnectedAt = client.Owner.Now;
    }

    public ClientIdentity Identity { get; }

    /// <summary>Thread clock, microseconds.</summary>
    public long ConnectedAt { get; }

    public long AgeSeconds => (Thread.Now - ConnectedAt) / 1_000_000;

    public ServerPool Pool => _pool;

    public Connection Client => _client;

    public IoThread Thread => _client.Owner;

    public SessionPhase Phase { get; private set; }

    /// <summary>What it has with servers; there since its first request.</summary>
    public Exchange? Exchange => _exchange;

    /// <summary>The settings that follow this client from server to server, as it was last told of them.</summary>
    public SessionParameters Parameters { get; set; }

    /// <summary>What its startup packet asked for: what a RESET goes back to.</summary>
    public StartupParameters Startup { get; init; } = StartupParameters.Empty;

    /// <summary>What is known of statements on its thread; null: nobody asks.</summary>
    public StatementTable? Statements { get; init; }

    /// <summary>pooler.route of its startup packet.</summary>
    public RouteHint StartupRoute { get; init; }

    /// <summary>Those of it that its servers do not report, as the client has changed them since: they are set on each server it is lent.</summary>
    public StartupParameters Unreported { get; set; } = StartupParameters.Empty;

    /// <summary>How its requests are routed by what they say; null while nobody looks at that.</summary>
    public SessionRoute? SplitRoute => _isSplit ? _route : null;

    /// <summary>There may be something that it has asked of the router.</summary>
    public bool AsksPooler => _route != null;

    /// <summary>What it has asked of the router.</summary>
    public SessionRoute Route => _route ??= new SessionRoute(this);

    /// <summary>The server held at the moment.</summary>
    public ServerConnection? Server => _exchange?.Server;

    /// <summary>What its client cancels with.</summary>
    public CancelKey CancelKey { get; set; }

    /// <summary>Whether the client was given the long form of its key (protocol 3.2): then the short one opens nothing.</summary>
    public bool HasLongKey { get; init; }

    /// <summary>Counts answered requests, so that a cancel finds the one it was sent for or none. Read by any thread.</summary>
    public int RequestNumber => Volatile.Read(ref _requestNumber);

    public bool AwaitsReplies => _exchange is { AwaitsReplies: true };

    public bool IsInTransaction => _exchange is { IsInTransaction: true };

    /// <summary>Since when the client takes nothing although we have something for it (µs); 0 when it does.</summary>
    public long WriteStalledSince => Server != null && _client.Outbox.Pending > 0 ? _client.LastProgress : 0;

    /// <summary>Of its last request, thread clock; 0 when there was none.</summary>
    public long RequestedAt => _clock?.QueryStart ?? 0;

    public bool IsEnding => _end != null;

    public PoolMode Mode => _settings.Mode;

    public PoolSettings Settings => _settings;

    private SessionClock Clock => _clock ??= new SessionClock(this);

    internal PoolStats Stats => _pool.Stats[Thread.Index];

    public void Start()
    {
        if (_settings.ClientIdleTimeout > TimeSpan.Zero)
        {
            Clock.Arm(Thread); // Of a client that never asks for anything too.
        }

        _ = RunAsync();
    }

    /// <summary>Asks the session to end; its own loop does it. The first reason stays.</summary>
    public void End(SessionEnd end)
    {
        _end ??= end;
        Wake();
    }

    /// <summary>
    /// Ends it whatever it does, for the console or the end of the process. Over what a server has of it the server ends: what is
    /// told then knows of commits.
    /// </summary>
    public void EndByForce(ErrorFields reason)
    {
        if (Server is { } server && (AwaitsReplies || IsInTransaction))
        {
            server.Close(reason);
        }
        else
        {
            End(SessionEnd.Over(reason));
        }
    }

    /// <summary>Ends it if nothing of it is under way: it is idle, or waits for a server that it will not get.</summary>
    public void EndIfFree(ErrorFields reason)
    {
        if (Phase == SessionPhase.Waiting || (!IsInTransaction && _exchange is not { IsUnderWay: true }))
        {
            End(SessionEnd.Over(reason));
        }
    }

    public void Wake() => _client.Input.Wake();

    /// <summary>
    /// A CancelRequest with this session's key came while the request of this number was the next to be answered. If that has
    /// ended meanwhile, or never begun, nothing is cancelled.
    /// </summary>
    public void Cancel(int number, CancelRequest request)
    {
        if (number == _requestNumber && _end == null && _exchange is { IsUnderWay: true } exchange)
        {
            exchange.Cancel(request);
        }
        else
        {
            request.Done();
        }
    }

    /// <summary>The configuration in force, for what is told of settings.</summary>
    internal PoolerConfig Configuration => _pools.Journal.Config;

    /// <summary>Why it has no server yet.</summary>
    internal string DescribeWait() => _pools.DescribeWait(_request!);

    /// <summary>An error after which the session goes on, as it is sent; the log has it.</summary>
    internal ErrorFields Told(ErrorFields error)
    {
        _pools.Journal.ClientTold(ClientIdentity.LogName(_client, Identity, Configuration.Get(Config.Settings.ListenPort)), error);
        return ErrorTrail.For(_client, error);
    }

    /// <summary>PgBouncer's notice to a client that waits long for a server (query_wait_notify).</summary>
    public void NotifyQueued()
    {
        ErrorFields notice = ErrorTrail.For(_client, SessionErrors.Queued.Because(DescribeWait(), Configuration, Identity.Database, Identity.User));
        new MessageWriter(_client.Outbox).WriteNotice(notice.Severity, notice.SqlState, notice.Message, notice.Detail, notice.Hint);
        _client.Outbox.Flush();
    }

    /// <summary>The door of <see cref="Phase"/>.</summary>
    internal void Enter(SessionPhase phase)
    {
        Phase = phase;
        Clock.Arm(Thread);
    }

    /// <summary>The lease is over and its server gone. <paramref name="leftOut"/>: bytes still to come of a message that goes nowhere.</summary>
    internal void EnterIdle(long leftOut)
    {
        _reader.LeaveOut(leftOut);
        Enter(SessionPhase.Idle);
    }

    /// <summary>The client has its ReadyForQuery: what it cancels from now on is another request.</summary>
    internal void CountAnswered() => Volatile.Write(ref _requestNumber, _requestNumber + 1);

    private async Task RunAsync()
    {
        try
        {
            while (_end == null)
            {
                SessionNeed need = Advance();
                if (_end != null)
                {
                    break;
                }

                // Nothing but the session lives across these waits: most of many clients stand here.
                if (need == SessionNeed.Input)
                {
                    await _client.Input.WaitAsync();
                }
                else
                {
                    await _client.Input.ParkAsync();
                    if (_client.HasHungUp && Phase == SessionPhase.Waiting)
                    {
                        Leave();
                    }
                }

                if (_client.Input.IsEnded)
                {
                    Leave();
                }
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Session: {e}");
            _end ??= SessionEnd.Over(LoginErrors.Internal.Fields());
        }

        Finish(_end!);
    }

    private void Leave() =>
        _end ??= SessionEnd.Quiet(Server is { Status: not (byte)'I' } ? "client disconnect while server was not ready" : "client unexpected eof");

    /// <summary>Steps 3 to 7, as far as they go without waiting.</summary>
    private SessionNeed Advance()
    {
        SessionNeed need = SessionNeed.Nothing;
        while (_end == null && need == SessionNeed.Nothing)
        {
            need = Phase switch
            {
                SessionPhase.Idle => ReadRequest(),
                SessionPhase.Waiting => AwaitServer(),
                SessionPhase.Syncing => WatchClient(),
                SessionPhase.Leased => Forward(),
                _ => SessionNeed.Wake,
            };
        }

        return need;
    }

    /// <summary>Steps 3 and 4; what needs a server asks for one.</summary>
    private SessionNeed ReadRequest()
    {
        if (_client.Outbox.HoldsUp(_client.Input))
        {
            return SessionNeed.Wake;
        }

        switch (_reader.Read(_client, out SessionEnd? end))
        {
            case RequestRead.More:
                return SessionNeed.Input;
            case RequestRead.Request:
                return BeginOrAnswer();
            case RequestRead.Answered:
                _clock?.IdleSince = Thread.Now;
                break;
            default:
                _end = end;
                break;
        }

        return SessionNeed.Nothing;
    }

    private SessionNeed BeginOrAnswer()
    {
        switch (AnswerOwn())
        {
            case PoolerRequestState.None:
                Begin();
                return SessionNeed.Nothing;
            case PoolerRequestState.Part:
                _client.Input.Advance(0);
                return SessionNeed.Input;
            case PoolerRequestState.Waits:
                _client.Input.Advance(0);
                return SessionNeed.Wake;
            case PoolerRequestState.Mixed:
                _reader.Refuse(_client, Told(SessionErrors.MixedBatch.Fields()));
                return SessionNeed.Nothing;
            default:
                return SessionNeed.Nothing;
        }
    }

    private void Begin()
    {
        SessionClock clock = Clock;
        _exchange ??= new Exchange(this, _pools.Statements, clock, _disablePqExec, _maxPacketSize);
        if (_exchange.IsCanceled)
        {
            AnswerCanceled(); // It was on its way to a server that is gone.
            return;
        }

        if (_followsPool && !ReferenceEquals(_settings, _pool.Settings))
        {
            _settings = _pool.Settings; // RELOAD or SET: in force from this request on.
            clock.Use(_settings);
        }

        clock.QueryStart = clock.TransactionStart = clock.WaitSince = Thread.Now;
        _isSplit = _pool.ByHost is { Cluster.Config.Routing: RoutingRule.ReadWriteSplit };
        if (_isSplit)
        {
            Route.Read(_client.Input.Unread, _pool.ByHost!.Cluster);
        }

        Lease(atHead: false);
    }

    /// <summary>Step 4: SET pooler.…, EXPLAIN (POOLER) … need no server. True when the request in front was answered.</summary>
    /// <param name="status">Of the transaction of a client that holds a server.</param>
    internal PoolerRequestState AnswerOwn(byte status = (byte)'I')
    {
        if (_pool.ByHost == null)
        {
            return PoolerRequestState.None;
        }

        PoolerRequest request = PoolerRequest.Find(_client.Input.Unread, Parameters.HasConformingStrings);
        if (request.State != PoolerRequestState.Whole)
        {
            return request.State;
        }

        if (Route.Answers.MustWait(request))
        {
            return PoolerRequestState.Waits;
        }

        Route.Answers.Answer(request, status);
        _client.Input.Advance(request.Length);
        _reader.Restart();
        CountAnswered();
        Clock.IdleSince = Thread.Now;
        return PoolerRequestState.Whole;
    }

    /// <summary>Step 5.</summary>
    private ServerPool Choose(out ClusterState? seen)
    {
        if (_pool.ByHost is { Cluster.Config.Routing: RoutingRule.MultiPrimary } primaries)
        {
            return Router.ChooseHome(primaries, _pool, ref _home, out seen);
        }

        if (!_isSplit || _pool.ByHost is not { } hosts)
        {
            return Router.Choose(_pool, out seen);
        }

        seen = hosts.Cluster.State;
        return Route.Choose(hosts, seen);
    }

    /// <summary>Step 6: a server at once, or a place in the queue.</summary>
    private void Lease(bool atHead)
    {
        ServerSlot? slot = _pools.Acquire(Choose(out ClusterState? seen), _request ??= new LeaseRequest(this), Thread, atHead);
        while (slot == null && Router.HasChanged(_pool, seen) && _pools.TakeBack(_request))
        {
            // The hosts have changed meanwhile: it would wait where nobody comes.
            slot = _pools.Acquire(Choose(out seen), _request, Thread, atHead);
        }

        if (slot != null)
        {
            Hold(slot);
        }
        else if (Phase != SessionPhase.Waiting)
        {
            Clock.Notified = false;
            Enter(SessionPhase.Waiting);
        }
    }

    private SessionNeed AwaitServer()
    {
        if (_exchange!.IsCanceled)
        {
            _request!.Withdraw(_pools);
            AnswerCanceled();
        }
        else if (!TakeGrant())
        {
            SessionNeed need = WatchClient();
            _client.Input.Shrink();
            return need;
        }

        return SessionNeed.Nothing;
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
                Stats.WaitTime += Thread.Now - Clock.WaitSince;
                if (slot.Server.IsClosed || slot.Server.Failure != null)
                {
                    Lease(atHead: true); // It died on the way: back to the head of the queue.
                    return Phase != SessionPhase.Waiting;
                }

                Hold(slot);
                return true;
            case WaiterState.Rerouted:
                Lease(atHead: false); // It keeps its time of waiting, if not its place.
                return Phase != SessionPhase.Waiting;
            case WaiterState.Failed:
                _end = SessionEnd.Over(request.Error!);
                return true;
            default:
                return false;
        }
    }

    private void Hold(ServerSlot slot)
    {
        if (SplitRoute?.Admits(slot.Server) == false)
        {
            slot.TakeBack(); // Its replica may lack what this client has seen.
            Lease(atHead: false);
            return;
        }

        Stats.Waits.Record(Thread.Now - Clock.WaitSince);
        if (SplitRoute is { IsRead: true } route)
        {
            Stats.ReplicaReads += route.IsOnReplica ? 1 : 0;
            Stats.PrimaryReads += route.IsOnReplica ? 0 : 1;
        }

        _reader.Restart();
        _exchange!.Hold(slot);
    }

    /// <summary>Nothing of the client is wanted now; that it goes on, or leaves, is seen as long as there is room.</summary>
    private SessionNeed WatchClient()
    {
        _client.Input.Advance(0);
        return _client.Input.IsFull ? SessionNeed.Wake : SessionNeed.Input;
    }

    private SessionNeed Forward()
    {
        if (!_exchange!.ReleaseIfCanceled())
        {
            return _exchange.Forward();
        }

        AnswerCanceled();
        return SessionNeed.Nothing;
    }

    /// <summary>The client has cancelled a request that no server has seen: in PostgreSQL's words, and the session goes on.</summary>
    private void AnswerCanceled()
    {
        _reader.Refuse(_client, Told(SessionErrors.Canceled.Because("No server has run anything of it.")));
        Clock.IdleSince = Thread.Now;
        Enter(SessionPhase.Idle);
        _exchange!.RequestEnded();
    }

    /// <summary>The session's last act: the queue, the server and the client are left in order.</summary>
    private void Finish(SessionEnd end)
    {
        if (_clock != null)
        {
            Thread.Wheel.Clear(_clock);
        }

        if (Phase == SessionPhase.Waiting)
        {
            _request!.Withdraw(_pools);
        }

        bool isMidFrame = Server is { FrameRemaining: > 0 };
        end = _exchange is { IsInDoubt: true } ? end.InDoubt() : end;
        _exchange?.End();
        Phase = SessionPhase.Ended;
        if (end.Error is { } error && !isMidFrame)
        {
            ErrorTrail.Write(_client, error);
        }

        _ended(this, end);
        if (_client.Input.IsEnded || (end == SessionEnd.Goodbye && _client.Outbox.Pending == 0))
        {
            _client.Close(); // It has gone, or said goodbye and waits for nothing.
            _client.Input.Complete();
        }
        else
        {
            _client.CloseGracefully();
        }
    }
}
