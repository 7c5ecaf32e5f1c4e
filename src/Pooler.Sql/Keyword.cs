namespace Pooler.Sql;

/// <summary>A key word; the default is none.</summary>
internal readonly record struct Keyword(SqlKeyword Word, KeywordKind Kind);
