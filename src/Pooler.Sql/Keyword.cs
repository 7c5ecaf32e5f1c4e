namespace Pooler.Sql;

/// <summary>A key word; the default is none. One number, so that it stays in a register.</summary>
internal readonly record struct Keyword
{
    private readonly ushort _code;

    public Keyword(SqlKeyword word, KeywordKind kind) => _code = (ushort)((int)word | ((int)kind << 8));

    public SqlKeyword Word => (SqlKeyword)(byte)_code;

    public KeywordKind Kind => (KeywordKind)(_code >> 8);
}
