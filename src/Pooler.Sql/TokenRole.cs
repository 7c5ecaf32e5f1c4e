namespace Pooler.Sql;

/// <summary>What the token before a name was: whether a bracket behind the name is that of a call hangs on it.</summary>
internal enum TokenRole : byte
{
    /// <summary>Whatever an expression may follow.</summary>
    Any,

    Comma,

    /// <summary>A name: the next one is an alias, with columns in brackets.</summary>
    Object,

    /// <summary>A closing bracket an alias may follow.</summary>
    Brackets,

    /// <summary>AS, ::, WITH: an alias, a type, a common table expression follows.</summary>
    Naming,

    /// <summary>TABLESAMPLE: a sampling method follows.</summary>
    Sampling,
}
