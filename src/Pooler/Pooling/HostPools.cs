using System.Collections.Immutable;
using Pooler.Cluster;

namespace Pooler.Pooling;

/// <summary>
/// With routing: one pool for each host of the cluster, in its order. The pool that the clients belong to has no servers then; who
/// finds no host waits there.
/// </summary>
internal sealed class HostPools(HostCluster cluster, ImmutableArray<ServerPool> pools)
{
    private uint _turn;

    public HostCluster Cluster => cluster;

    public ImmutableArray<ServerPool> Pools => pools;

    /// <summary>Counts up, for those who take hosts in turn; any thread.</summary>
    public uint NextTurn() => Interlocked.Increment(ref _turn);
}
