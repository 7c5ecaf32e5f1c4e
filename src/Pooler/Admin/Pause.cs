using Pooler.Errors;
using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>
/// PAUSE [db]: no server is lent any more, each is closed at its release, and the answer comes when all are closed (src/admin.c,
/// admin_cmd_pause; src/janitor.c). A client that gives up waiting (Ctrl-C) or leaves ends the pause it asked for.
/// </summary>
internal sealed class Pause() : DatabaseCommand("PAUSE", "pause")
{
    protected override async ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        Pools pools = session.Console.Pools;
        if (pools.PauseOfAll != PauseMode.None || (!pools.Pause(database) && database == null))
        {
            session.Error(ConsoleErrors.AlreadyPaused.Fields());
            return false;
        }

        if (!await ConsoleWait.Until(session, () => pools.OpenServers(database) == 0 || !pools.IsPaused(database)))
        {
            pools.Resume(database, session.Client.Owner.Now);
            session.Error(ConsoleErrors.Canceled.Fields());
            return false;
        }

        if (!pools.IsPaused(database))
        {
            session.Error(ConsoleErrors.Resumed.Fields());
            return false;
        }

        return true;
    }
}
