namespace Pooler.Protocol;

/// <summary>What has been read of a PROXY protocol header.</summary>
public enum ProxyHeaderState
{
    /// <summary>More bytes must come first.</summary>
    Incomplete,

    /// <summary>It is there.</summary>
    Whole,

    /// <summary>What came is none.</summary>
    Malformed,
}
