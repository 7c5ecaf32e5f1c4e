using System.Collections.Immutable;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>A table of PgBouncer's for what there is none of here: its columns and no row.</summary>
internal sealed class ShowNothing(params ImmutableArray<ColumnDescription> columns) : ShowCommand(columns)
{
    protected override void Fill(Table table, AdminConsole console)
    {
    }
}
