namespace Pooler.Session;

/// <summary>What came of looking at the bytes of a client without a server.</summary>
internal enum RequestRead : byte
{
    /// <summary>More must be read first.</summary>
    More,

    /// <summary>A request that needs a server is in front.</summary>
    Request,

    /// <summary>Something was answered, or dropped, without a server; more may follow.</summary>
    Answered,

    /// <summary>The client says goodbye, or makes no sense.</summary>
    End,
}
