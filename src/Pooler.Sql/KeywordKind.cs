namespace Pooler.Sql;

/// <summary>What a key word may be besides itself (PostgreSQL documentation, appendix C).</summary>
internal enum KeywordKind : byte
{
    /// <summary>No key word: a name.</summary>
    None,

    /// <summary>Never a function, a type or a table.</summary>
    Reserved,

    /// <summary>Has a meaning of its own before a bracket.</summary>
    Syntax,

    /// <summary>May be the name of a function.</summary>
    Name,
}
