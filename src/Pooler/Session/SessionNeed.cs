namespace Pooler.Session;

/// <summary>What a session waits for before it can go on.</summary>
internal enum SessionNeed : byte
{
    /// <summary>It goes on at once.</summary>
    Nothing,

    /// <summary>More bytes of the client.</summary>
    Input,

    /// <summary>Something else: a server, room in an outbox, replies. The client is watched, not read.</summary>
    Wake,
}
