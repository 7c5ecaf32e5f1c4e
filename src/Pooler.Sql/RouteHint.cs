namespace Pooler.Sql;

/// <summary>What a comment of a text asks for: <c>/* pooler: replica */</c>. Of two the stronger counts.</summary>
public enum RouteHint : byte
{
    None,
    Replica,
    Primary,
}
