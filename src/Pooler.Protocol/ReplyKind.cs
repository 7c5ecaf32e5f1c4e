namespace Pooler.Protocol;

/// <summary>What was sent to a server and is not answered yet.</summary>
public enum ReplyKind : byte
{
    Parse,
    Bind,
    Close,
    Describe,
    Execute,
    Query,
    Sync,
    FunctionCall,

    /// <summary>CopyData sent before we knew whether the server is in COPY: answered by nothing.</summary>
    CopyData,

    /// <summary>CopyDone or CopyFail sent before we knew whether the server is in COPY: answered by nothing.</summary>
    CopyEnd,
}
