namespace Pooler.Sql;

/// <summary>What a statement asks of the pooler itself.</summary>
public enum PoolerCommand : byte
{
    /// <summary>Nothing: it is PostgreSQL's.</summary>
    None,

    /// <summary>SET pooler.name = value</summary>
    Set,

    /// <summary>SET pooler.name TO DEFAULT, RESET pooler.name</summary>
    Reset,

    /// <summary>SHOW pooler.name</summary>
    Show,

    /// <summary>EXPLAIN (POOLER) statement</summary>
    Explain,
}
