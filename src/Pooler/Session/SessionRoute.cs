using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Where the requests of one client go while its entry splits reads from writes: what its request is, what it has asked for, and what
/// may follow on the server it holds.
/// </summary>
internal sealed class SessionRoute(ClientSession session)
{
    private readonly RequestClassifier _classifier = new(session);
    private RouteRequest _request;
    private StartupParameters? _isolationOf;
    private bool _isSerializable, _isSteady, _isRead, _isAgain, _isRefused, _readsData, _changesNothing;
    private ReadBound? _bound;

    // Hosts that lack what the session has seen; those that have refused the request.
    private ulong _avoided, _refusedBy;
    private int _host;

    /// <summary>What the client has asked of the pooler itself.</summary>
    public PoolerAnswers Answers { get; } = new(session);

    /// <summary>Its last request does not run on the primary.</summary>
    public bool IsOnReplica { get; private set; }

    /// <summary>Its last request, or the batch, only reads.</summary>
    public bool IsRead => _isRead;

    /// <summary>All that is under way only reads: if a replica refuses it, it may run once elsewhere.</summary>
    public bool MayRunAgain => _isRead && !_isAgain;

    /// <summary>DDL went by that may change what names mean.</summary>
    public bool HasChangedNames { get; set; }

    /// <summary>Looks at the request in front of a client without a server.</summary>
    public void Read(ReadOnlySpan<byte> data, HostCluster cluster)
    {
        bool isAgain = _isRefused || _refusedBy != 0;
        RouteRequest request = Classify(data, cluster);
        _request = request with { IsRefused = request.IsRefused || _isRefused, Avoided = _refusedBy };
        _readsData = _request.ReadsData;
        _avoided = 0;
        _isSteady = IsSteady(_request);
        _isRead = Router.ReasonOf(cluster.Config.Routing, _request) == RouteReason.Read;
        _changesNothing = _request is { Class: StatementClass.Read, IsRefused: false };
        (_isAgain, _isRefused, _refusedBy) = (isAgain, false, 0);
    }

    /// <summary>The replica that has it would not run it: the next look at it leads elsewhere.</summary>
    public void Refuse(bool isWrite)
    {
        _isRefused = isWrite;
        _refusedBy = _host >= 0 ? 1ul << _host : 0;
        if (isWrite)
        {
            Remember();
        }
    }

    /// <summary>The statement took itself for a read: from now on nobody else's goes to a replica.</summary>
    public void Remember()
    {
        if (_isRead)
        {
            session.Pool.ByHost?.Cluster.Catalogue.Writes.Add(_request.Fingerprint);
        }
    }

    /// <summary>The pool of the host that it goes to, or the client's own, where it waits for one.</summary>
    public ServerPool Choose(HostPools hosts, ClusterState state)
    {
        ulong avoided = _avoided;
        if (_readsData && BoundOf(hosts) is { } bound && RouteReasons.IsForReplicas(Router.ReasonOf(hosts.Cluster.Config.Routing, _request)))
        {
            avoided |= ~bound.Admitted(state, Router.Readable(state, hosts.Cluster.Config));
        }

        Route route = Router.Choose(hosts, state, _request with { Avoided = _request.Avoided | avoided });
        _host = route.Host ?? -1;
        IsOnReplica = route.Host is { } index && index != state.Primary;
        return route.Host is { } host ? hosts.Pools[host] : session.Pool;
    }

    /// <summary>Whether the server that was found may serve the request; if not, its host is left out of the next choice.</summary>
    public bool Admits(ServerConnection server)
    {
        bool admits = !IsOnReplica || !_readsData || session.Pool.ByHost is not { } hosts || BoundOf(hosts) is not { } bound
            || bound.Admits(hosts.Cluster.State, _host, server.LoggedInAt);
        _avoided |= admits ? 0 : 1ul << _host;
        return admits;
    }

    /// <summary>The client has an answer, and the server is in no transaction.</summary>
    public void Answered()
    {
        if (session.Mode == PoolMode.Session || session.Pool.ByHost is not { } hosts || BoundOf(hosts) is not { } bound)
        {
            return;
        }

        if (!IsOnReplica)
        {
            bound.AnsweredByPrimary(IoThread.Clock(), mayHaveWritten: !_changesNothing);
            _changesNothing = false; // What follows the first request of a lease is not looked at.
        }
        else if (_readsData)
        {
            bound.AnsweredByReplica(_host, IoThread.Clock());
        }
    }

    /// <summary>What its next read must not miss; null if nobody looks at that.</summary>
    public ReadBound? Bound => session.Pool.ByHost is { } hosts ? BoundOf(hosts) : null;

    private ReadBound? BoundOf(HostPools hosts)
    {
        if (!ReferenceEquals(_bound?.Hosts, hosts))
        {
            _bound = hosts.Cluster.Config.ReadAfterWrite == ReadAfterWrite.Off ? null : new ReadBound(hosts);
            if (session.Exchange is { HasAnswered: true })
            {
                _bound?.AnsweredByPrimary(IoThread.Clock(), mayHaveWritten: true); // A RELOAD: what was known before is forgotten.
            }
        }

        return _bound;
    }

    /// <summary>
    /// Whether the next request of a client that holds a server of a replica may go there too. While replies are outstanding it may
    /// if it would go to a replica itself and those before it neither begin nor end a transaction; else it waits until they are there.
    /// </summary>
    public bool MayFollow(ReadOnlySpan<byte> data, bool isFirst, byte status)
    {
        if (session.Pool.ByHost is not { } hosts)
        {
            return true;
        }

        RouteRequest request = Classify(data, hosts.Cluster);
        RouteReason reason = Router.ReasonOf(hosts.Cluster.Config.Routing, request);
        bool may = isFirst || (_isSteady && (_readsData || !request.ReadsData) && (status != 'I' || RouteReasons.IsForReplicas(reason)));
        if (may)
        {
            _isSteady = IsSteady(request);
            _isRead &= reason == RouteReason.Read;
        }

        return may;
    }

    private static bool IsSteady(in RouteRequest request) =>
        !request.IsUnknown && request.Step is not (TransactionStep.Begin or TransactionStep.Commit or TransactionStep.Rollback or TransactionStep.TwoPhase);

    /// <summary>What one text would be as the next request.</summary>
    public RouteRequest ClassifyText(ReadOnlySpan<byte> text, HostCluster cluster) =>
        OfSession(_classifier.ClassifyText(text, cluster.Catalogue.Names), cluster);

    private RouteRequest Classify(ReadOnlySpan<byte> data, HostCluster cluster) =>
        OfSession(_classifier.Classify(data, session.Exchange?.Statements, cluster.Catalogue.Names), cluster);

    private RouteRequest OfSession(in RouteRequest request, HostCluster cluster) =>
        request with
        {
            Hint = request.Hint == RouteHint.None ? Answers.Route : request.Hint,
            IsSerializable = request.IsSerializable || IsSerializable(),
            IsForSession = session.Mode == PoolMode.Session,
            IsRefused = cluster.Catalogue.Writes.Contains(request.Fingerprint),
        };

    /// <summary>By its startup packet.</summary>
    private bool IsSerializable()
    {
        if (!ReferenceEquals(_isolationOf, session.Unreported))
        {
            _isolationOf = session.Unreported;
            _isSerializable = string.Equals(_isolationOf["default_transaction_isolation"], "serializable", StringComparison.OrdinalIgnoreCase);
        }

        return _isSerializable;
    }
}
