namespace Pooler.Sql;

/// <summary>Why a statement is no read.</summary>
public enum StatementCause : byte
{
    None,

    /// <summary>Its first word says so.</summary>
    Command,

    /// <summary>A query that says INTO, FOR UPDATE, FOR SHARE, INSERT, UPDATE, DELETE or MERGE.</summary>
    Words,

    /// <summary>It calls a function that is volatile or answers otherwise on a standby.</summary>
    Function,

    /// <summary>It calls a function the catalogue did not have.</summary>
    UnknownFunction,

    /// <summary>It uses an operator whose function is volatile.</summary>
    Operator,

    /// <summary>It names a view or a type over a volatile function, an unlogged table, a sequence; or a name that cannot be compared.</summary>
    Name,

    /// <summary>It asks for a setting that a standby has otherwise.</summary>
    Setting,

    /// <summary>It is not read to its end: PostgreSQL would refuse it, or its encoding hides letters.</summary>
    Unreadable,

    /// <summary>The catalogue is not known.</summary>
    Catalogue,
}
