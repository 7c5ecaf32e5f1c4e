namespace Pooler.Config;

/// <summary>One entry of [peers]: a process that passes on our clients' cancel requests, and we those of its clients.</summary>
/// <param name="Id">Its peer_id.</param>
/// <param name="PoolSize">Most cancel requests on their way to it at once; null: default_pool_size.</param>
internal sealed record PeerConfig(int Id, HostAddress Host, int? PoolSize)
{
    /// <summary>The port of a peer that names none; PgBouncer's.</summary>
    public const int DefaultPort = 6432;
}
