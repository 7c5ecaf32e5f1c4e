using Pooler.Cluster;
using Pooler.Config;
using Pooler.Pooling;
using Pooler.Sql;

namespace Pooler.Routing;

/// <summary>
/// Step 5: which pool a request goes to. Without routing it is the client's own; with it that of a host, chosen by what the request
/// is and what the cluster looks like at the moment, or the client's own again, where it waits until a host can take it.
/// </summary>
internal static class Router
{
    /// <summary>
    /// Of what no statement is known: every request unless statements are looked at (read_write_split), and logins, which then ask
    /// the primary, if there is one, what to tell their clients.
    /// </summary>
    /// <param name="seen">What the choice rests on; null without routing.</param>
    public static ServerPool Choose(ServerPool pool, out ClusterState? seen)
    {
        seen = null;
        if (pool.ByHost is not { } hosts)
        {
            return pool;
        }

        seen = hosts.Cluster.State;
        Route route = Choose(hosts, seen, new RouteRequest { Hint = RouteHint.Primary });
        route = route.Host == null ? Choose(hosts, seen, default) : route;
        return route.Host is { } host ? hosts.Pools[host] : pool;
    }

    /// <summary>
    /// routing = multi_primary: the host that the client is at home on while that takes writes, else another, which is its home then.
    /// </summary>
    public static ServerPool ChooseHome(HostPools hosts, ServerPool front, ref ServerPool? home, out ClusterState seen)
    {
        seen = hosts.Cluster.State;
        int index = home == null ? -1 : hosts.Pools.IndexOf(home);
        if (index < 0 || !seen.Hosts[index].TakesWrites)
        {
            home = LoadBalance.Pick(hosts, seen, Writable(seen, hosts.Cluster.Config)) is { } host ? hosts.Pools[host] : null;
        }

        return home ?? front;
    }

    public static Route Choose(HostPools hosts, ClusterState state, in RouteRequest request)
    {
        ClusterConfig config = hosts.Cluster.Config;
        RouteReason reason = ReasonOf(config.Routing, request);
        if (!RouteReasons.IsForReplicas(reason))
        {
            int? primary = config.Routing == RoutingRule.MultiPrimary ? LoadBalance.Pick(hosts, state, Writable(state, config)) : WritablePrimary(state);
            return new Route(primary, reason);
        }

        // What begins a transaction or changes settings could let a subscriber be written to.
        ulong readable = Readable(state, config) & (request.Class == StatementClass.Read && !request.FollowsClient ? ulong.MaxValue : ~Subscribers(state, config));
        int? replica = LoadBalance.Pick(hosts, state, readable & ~request.Avoided);
        return replica != null ? new Route(replica, reason)
            : config.Routing == RoutingRule.Replica ? new Route(null, RouteReason.NoReplica)
            : new Route(WritablePrimary(state), RouteReason.NoReplica);
    }

    /// <summary>Whether another choice may be right by now; samples alone, of which there are many, change nothing.</summary>
    public static bool HasChanged(ServerPool pool, ClusterState? seen) =>
        pool.ByHost?.Cluster is not { State: var state } cluster ? seen != null
        : seen == null || (!ReferenceEquals(state, seen) && !state.RoutesAs(seen, cluster.Config));

    /// <summary>What a request asks for, whether there is such a host or not. An explicit word outdoes what we think of it.</summary>
    public static RouteReason ReasonOf(RoutingRule rule, in RouteRequest request) => rule switch
    {
        RoutingRule.Replica or RoutingRule.PreferReplica => RouteReason.ReplicaRouting,
        RoutingRule.ReadWriteSplit when request.IsRefused => RouteReason.Refused,
        RoutingRule.ReadWriteSplit => request.Hint switch
        {
            RouteHint.Primary => RouteReason.PrimaryHint,
            RouteHint.Replica when !IsWriteTransaction(request) => RouteReason.ReplicaHint,
            _ => ReasonOf(request),
        },
        _ => RouteReason.PrimaryRouting,
    };

    /// <summary>The hosts that take writes: bit i is host i.</summary>
    private static ulong Writable(ClusterState state, ClusterConfig config) => SetOf(state, config, static (host, _) => host.TakesWrites);

    /// <summary>The replicas that are fresh enough.</summary>
    public static ulong Readable(ClusterState state, ClusterConfig config) => SetOf(state, config, static (host, config) => host.ServesReads(config));

    private static ulong Subscribers(ClusterState state, ClusterConfig config) => SetOf(state, config, static (host, _) => host.IsLogical);

    private static ulong SetOf(ClusterState state, ClusterConfig config, Func<HostState, ClusterConfig, bool> isIn)
    {
        ulong set = 0;
        for (int i = 0; i < state.Hosts.Length; i++)
        {
            set |= isIn(state.Hosts[i], config) ? 1ul << i : 0;
        }

        return set;
    }

    private static RouteReason ReasonOf(in RouteRequest request)
    {
        if (request.IsForSession)
        {
            return RouteReason.SessionMode;
        }

        bool isRead = request.Class == StatementClass.Read;
        bool isReadOnlyTransaction = request is { Class: StatementClass.Transaction, Step: TransactionStep.Begin, Access: TransactionAccess.ReadOnly };
        return request.Class switch
        {
            _ when request.IsSerializable && (isRead || isReadOnlyTransaction) => RouteReason.Serializable,
            StatementClass.Read => request.FollowsClient ? RouteReason.FollowsClient : RouteReason.Read,
            StatementClass.Transaction => isReadOnlyTransaction ? RouteReason.ReadOnlyTransaction : RouteReason.Transaction,
            StatementClass.Session => RouteReason.SessionState,
            _ => RouteReason.Write,
        };
    }

    /// <summary>BEGIN READ WRITE: no standby takes that, whoever asks for it.</summary>
    private static bool IsWriteTransaction(in RouteRequest request) => request is { Step: TransactionStep.Begin, Access: TransactionAccess.ReadWrite };

    private static int? WritablePrimary(ClusterState state) => state.WritablePrimary != null ? state.Primary : null;
}
