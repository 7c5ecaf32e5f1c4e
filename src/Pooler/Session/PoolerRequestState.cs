namespace Pooler.Session;

/// <summary>Whether a request is one that we answer ourselves.</summary>
internal enum PoolerRequestState : byte
{
    /// <summary>It is the server's.</summary>
    None,

    /// <summary>It is ours, and all of it is there.</summary>
    Whole,

    /// <summary>It is ours, and more of it must be read first.</summary>
    Part,

    /// <summary>It is ours, and what it asks for is not known yet.</summary>
    Waits,

    /// <summary>One of ours goes with others, or under a name.</summary>
    Mixed,
}
