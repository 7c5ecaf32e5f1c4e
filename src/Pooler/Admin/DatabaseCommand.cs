using Pooler.Config;
using Pooler.Errors;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>A command with the name of a database behind it, or without: then it is for all of them (src/admin.c).</summary>
/// <param name="word">As it is written and answered.</param>
/// <param name="doing">What one cannot do to the console's own database.</param>
internal abstract class DatabaseCommand(string word, string doing) : ConsoleCommand
{
    internal sealed override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        string? database = statement.Argument.Length > 0 ? statement.Argument : null;
        if (Refusal(session, database) is { } refusal)
        {
            session.Error(refusal.Fields());
            return;
        }

        session.Console.Log.Note(database == null ? $"{word} command issued" : $"{word} '{database}' command issued");
        if (database == PoolerConfig.ConsoleDatabase)
        {
            session.Error(ConsoleErrors.OwnDatabase.Fields(doing, database));
        }
        else if (database != null && session.Console.Live.Current.FindDatabase(database) == null)
        {
            session.Error(ConsoleErrors.NoDatabase.Fields(database));
        }
        else if (await DoAsync(session, database))
        {
            session.Complete(word);
        }
    }

    /// <summary>What is said before the name is looked at; null: nothing.</summary>
    protected virtual ClientError? Refusal(ConsoleSession session, string? database) => null;

    /// <summary>False when it has answered with an error.</summary>
    protected abstract ValueTask<bool> DoAsync(ConsoleSession session, string? database);
}
