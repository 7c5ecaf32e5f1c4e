using System.Collections.Immutable;
using Pooler.Cluster;

namespace Pooler.Pooling;

/// <summary>
/// With routing: one pool for each host of the cluster, in its order. The pool that the clients belong to has no servers then; who
/// finds no host waits there.
/// </summary>
internal sealed record HostPools(HostCluster Cluster, ImmutableArray<ServerPool> Pools);
