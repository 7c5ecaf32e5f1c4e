namespace Pooler.Pooling;

/// <summary>Servers and clients counted against a shared cap (a database entry's, a user's); guarded by the pools' lock.</summary>
internal sealed class ServerCount
{
    public int Servers, Clients;

    /// <summary>The pools that share this cap.</summary>
    public List<ServerPool> Pools { get; } = [];
}
