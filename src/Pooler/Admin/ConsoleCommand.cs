using System.Collections.Immutable;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>One command of the console. It writes its own answer up to CommandComplete, or an error.</summary>
internal abstract class ConsoleCommand
{
    /// <summary>Whether stats_users get "admin access needed".</summary>
    internal virtual bool IsAdminOnly => true;

    /// <summary>Whether this is no such command after all; that is said before rights are looked at (src/admin.c).</summary>
    internal virtual bool IsInvalid(ConsoleStatement statement) => false;

    /// <summary>The columns of its answer, which a driver asks for ahead; none when there are no rows.</summary>
    internal virtual ImmutableArray<ColumnDescription> ColumnsOf(ConsoleStatement statement) => [];

    internal abstract ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement);
}
