using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
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
    private bool _isSerializable, _isSteady;

    /// <summary>Its last request does not run on the primary.</summary>
    public bool IsOnReplica { get; private set; }

    /// <summary>Looks at the request in front of a client without a server.</summary>
    public void Read(ReadOnlySpan<byte> data, HostCluster cluster)
    {
        _request = Classify(data, cluster);
        _isSteady = IsSteady(_request);
    }

    /// <summary>The pool of the host that it goes to, or the client's own, where it waits for one.</summary>
    public ServerPool Choose(HostPools hosts, ClusterState state)
    {
        Route route = Router.Choose(hosts, state, _request);
        IsOnReplica = route.Host is { } index && index != state.Primary;
        return route.Host is { } host ? hosts.Pools[host] : session.Pool;
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
        bool may = isFirst
            || (_isSteady && (status != 'I' || RouteReasons.IsForReplicas(Router.ReasonOf(hosts.Cluster.Config.Routing, request))));
        _isSteady = may ? IsSteady(request) : _isSteady;
        return may;
    }

    private static bool IsSteady(in RouteRequest request) =>
        !request.IsUnknown && request.Step is not (TransactionStep.Begin or TransactionStep.Commit or TransactionStep.Rollback or TransactionStep.TwoPhase);

    private RouteRequest Classify(ReadOnlySpan<byte> data, HostCluster cluster)
    {
        RouteRequest request = _classifier.Classify(data, session.Exchange?.Statements, cluster.Catalogue.Names);
        return request with
        {
            IsSerializable = request.IsSerializable || IsSerializable(),
            IsForSession = session.Mode == PoolMode.Session,
            IsRefused = cluster.Catalogue.Writes.Contains(request.Fingerprint),
        };
    }

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
