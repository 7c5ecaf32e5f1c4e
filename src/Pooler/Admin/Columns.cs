using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>Column descriptions of the console's tables; PgBouncer sends no other types than these (src/pktbuf.c).</summary>
internal static class Columns
{
    public static ColumnDescription Text(string name) => new(name, 25, -1);

    public static ColumnDescription Int4(string name) => new(name, 23, 4);

    public static ColumnDescription Int8(string name) => new(name, 20, 8);

    public static ColumnDescription Numeric(string name) => new(name, 1700, -1);
}
