namespace Pooler.Session;

/// <summary>Where a <see cref="ClientSession"/> stands in the walk of a query; changes through its one door, Enter.</summary>
internal enum SessionPhase : byte
{
    /// <summary>No server is held; the next request is being read.</summary>
    Idle,

    /// <summary>A request is there and waits for a server.</summary>
    Waiting,

    /// <summary>A server is held and being brought to the client's settings; nothing of the request was sent.</summary>
    Syncing,

    /// <summary>A server is held; bytes pass.</summary>
    Leased,

    /// <summary>The session is over.</summary>
    Ended,
}
