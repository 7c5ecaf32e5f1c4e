using Pooler.Net;
using Pooler.Statements;

namespace Pooler.Admin;

/// <summary>RESET STATEMENTS, ours: SHOW STATEMENTS begins anew.</summary>
internal sealed class ResetStatements : ConsoleCommand
{
    internal override bool IsInvalid(ConsoleStatement statement) => !statement.Argument.Equals("statements", StringComparison.OrdinalIgnoreCase);

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        AdminConsole console = session.Console;
        await Survey.Run(console.Threads, session.Client, t => (IReadOnlyList<IoThread>)[t], t => Forget(console.Statements.Of(t)));
        session.Complete("RESET");
    }

    private static StatementTable Forget(StatementTable table)
    {
        table.Forget();
        return table;
    }
}
