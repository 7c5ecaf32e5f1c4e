namespace Pooler.Config;

/// <summary>When a server goes back to its pool (<c>pool_mode</c>).</summary>
internal enum PoolMode
{
    /// <summary>When the client disconnects.</summary>
    Session,

    /// <summary>When the transaction ends.</summary>
    Transaction,

    /// <summary>After every statement; transactions of several statements are refused.</summary>
    Statement,
}
