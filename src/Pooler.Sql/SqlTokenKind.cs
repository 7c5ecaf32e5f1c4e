namespace Pooler.Sql;

/// <summary>What a token is (PostgreSQL documentation, 4.1 Lexical Structure).</summary>
public enum SqlTokenKind : byte
{
    /// <summary>A name or a key word without quotes.</summary>
    Name,

    /// <summary>"…"</summary>
    QuotedName,

    /// <summary>U&amp;"…", whose escapes are not read here.</summary>
    EncodedName,

    /// <summary>Any string: '…', E'…', U&amp;'…', B'…', X'…', $$…$$, with all the parts it goes on in.</summary>
    Literal,

    Number,

    /// <summary>$1</summary>
    Parameter,

    Operator,

    /// <summary>Brackets, comma, semicolon, dot, colon, ::, := and .., and every byte that has no place in SQL.</summary>
    Symbol,

    /// <summary>A string, quoted name or comment without an end, or what PostgreSQL refuses to read: it is an error there.</summary>
    Unfinished,
}
