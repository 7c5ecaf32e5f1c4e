namespace Pooler.Protocol;

/// <summary>What the <see cref="ReplyQueue"/> says of one message of the server.</summary>
public enum ReplyVerdict : byte
{
    Forward,
    Swallow,

    /// <summary>A notice, notification or parameter status: belongs to no request, may come at any moment.</summary>
    Asynchronous,

    /// <summary>It cannot answer the oldest request: the stream is out of step and the server must be closed, never guessed at.</summary>
    Unexpected,
}
