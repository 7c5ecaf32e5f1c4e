namespace Pooler.Pooling;

/// <summary>Servers and clients counted against a shared cap (a database entry's, a user's, a host's); guarded by the pools' lock.</summary>
internal sealed class ServerCount
{
    public int Servers, Clients;

    /// <summary>Thread clock, microseconds: before that nobody looks again for a pool that waits too long beside others under this cap.</summary>
    public long LookAt;

    /// <summary>The pools that share this cap.</summary>
    public List<ServerPool> Pools { get; } = [];

    /// <summary>Those of them with waiting clients.</summary>
    public HashSet<ServerPool> Waiting { get; } = [];
}
