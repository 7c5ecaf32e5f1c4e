namespace Pooler.Protocol;

/// <summary>What happens to the messages that answer an entry of the <see cref="ReplyQueue"/>.</summary>
public enum ReplyUse : byte
{
    /// <summary>They go to the client.</summary>
    Forward,

    /// <summary>The request was the pooler's own: nobody else sees them.</summary>
    Swallow,

    /// <summary>Ours, sent ahead of a request of the client: its success nobody sees, its error is the client's answer.</summary>
    Ahead,

    /// <summary>The server was not asked: we answer, when everything before it is answered.</summary>
    Answer,
}
