namespace Pooler.Protocol;

/// <summary>A column of a RowDescription we make ourselves: of no table, in text format unless it says otherwise.</summary>
/// <param name="Name">The column's name.</param>
/// <param name="TypeOid">OID of its type in pg_type, such as 25 for text.</param>
/// <param name="Length">The type's length (pg_type.typlen); negative when variable.</param>
public readonly record struct ColumnDescription(string Name, int TypeOid, short Length)
{
    /// <summary>Whether its values are in binary format.</summary>
    public bool IsBinary { get; init; }
}
