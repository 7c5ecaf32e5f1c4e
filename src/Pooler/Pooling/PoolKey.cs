using Pooler.Config;

namespace Pooler.Pooling;

/// <summary>A pool is one database entry and one user; with routing there is one more for each host.</summary>
internal readonly record struct PoolKey(string Database, string User)
{
    /// <summary>The host its servers are on; null in the pool that the clients belong to.</summary>
    public HostAddress? Host { get; init; }
}
