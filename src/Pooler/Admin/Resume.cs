using Pooler.Config;
using Pooler.Errors;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>RESUME [db]: ends the PAUSE of the same words; one does not end the other (src/admin.c, admin_cmd_resume).</summary>
internal sealed class Resume : ConsoleCommand
{
    internal override ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        string? database = statement.Argument.Length > 0 ? statement.Argument : null;
        Pools pools = session.Console.Pools;
        session.Console.Log.Note(database == null ? "RESUME command issued" : $"RESUME '{database}' command issued");
        bool exists = database is null or PoolerConfig.ConsoleDatabase || session.Console.Live.Current.FindDatabase(database) != null;
        if (database == null && session.Console.Shutdown.Mode != StopMode.None)
        {
            session.Error(ConsoleErrors.Stopping.Fields());
        }
        else if (!exists && !pools.IsPaused(database))
        {
            session.Error(ConsoleErrors.NoDatabase.Fields(database));
        }
        else if (!pools.Resume(database, session.Client.Owner.Now))
        {
            session.Error(database == null ? ConsoleErrors.NotPaused.Fields() : ConsoleErrors.DatabaseNotPaused.Fields(database));
        }
        else
        {
            session.Complete("RESUME");
        }

        return ValueTask.CompletedTask;
    }
}
