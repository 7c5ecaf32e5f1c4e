namespace Pooler.Protocol;

/// <summary>What happens to the messages that answer an entry of the <see cref="ReplyQueue"/>.</summary>
public enum ReplyUse : byte
{
    /// <summary>They go to the client.</summary>
    Forward,

    /// <summary>The request was the pooler's own: nobody else sees them.</summary>
    Swallow,
}
