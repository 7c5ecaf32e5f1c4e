namespace Pooler.Session;

/// <summary>What became of a message that may name a prepared statement.</summary>
internal enum StatementUse : byte
{
    /// <summary>It goes to the server as any other.</summary>
    Untouched,

    /// <summary>It goes to the server, and what must come back was pushed.</summary>
    Sent,

    /// <summary>It does not go to the server: the answer is ours, in its place in the order.</summary>
    Answered,
}
