namespace Pooler.Session;

/// <summary>What finds a session for a CancelRequest: the process id and the first four bytes of the secret in its BackendKeyData.</summary>
internal readonly record struct CancelKey(int ProcessId, uint Secret)
{
    /// <summary>Of the part that is no secret, so that the time a search takes tells nothing of the other.</summary>
    public override int GetHashCode() => ProcessId;
}
