using System.Collections.Immutable;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>One table of SHOW: its columns, and a way to its rows.</summary>
internal abstract class ShowCommand(params ImmutableArray<ColumnDescription> columns)
{
    public ImmutableArray<ColumnDescription> Columns => columns;

    /// <summary>Whether stats_users get "admin access needed".</summary>
    internal virtual bool IsAdminOnly => false;

    /// <summary>
    /// Reads the rows. This one is for what any thread may read, and does so off the I/O threads; what belongs to them is asked
    /// for first (<see cref="Survey"/>).
    /// </summary>
    internal virtual ValueTask<Table> ReadAsync(AdminConsole console, Connection client) => Offload.Run(
        client,
        static s =>
        {
            var table = new Table(s.command.Columns);
            s.command.Fill(table, s.console);
            return table;
        },
        (command: this, console));

    protected virtual void Fill(Table table, AdminConsole console) => throw new NotSupportedException();
}
