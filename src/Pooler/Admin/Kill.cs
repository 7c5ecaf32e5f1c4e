using Pooler.Config;
using Pooler.Errors;
using Pooler.Pooling;
using Pooler.Session;

namespace Pooler.Admin;

/// <summary>
/// KILL [db]: clients and servers are dropped at once, and the database stays paused until RESUME db; without a name every database
/// by itself (src/admin.c, admin_cmd_kill). Who had sent what may be committed is told that the outcome is unknown.
/// </summary>
internal sealed class Kill() : DatabaseCommand("KILL", "kill")
{
    protected override ClientError? Refusal(ConsoleSession session, string? database) =>
        session.Console.Pools.PauseOfAll != PauseMode.None ? ConsoleErrors.AlreadyPaused : null;

    protected override async ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        AdminConsole console = session.Console;
        foreach (string name in database != null ? [database] : Names(console))
        {
            console.Pools.Pause(name);
        }

        // Who had a server is told by its end; a read that would have gone on elsewhere waits by then.
        for (int round = 0; round < 2; round++)
        {
            await Survey.Run(console.Threads, session.Client, _ => console.Clients.OfCurrentThread(), s => End(s, database));
        }

        console.Pools.Change(database, static (pool, change) => change.Cut(pool, SessionErrors.KilledByAdmin.Because("KILL was given.")));
        return true;
    }

    private static List<string> Names(AdminConsole console)
    {
        List<string> names = [.. console.Live.Current.Databases.Keys];
        console.Pools.Read(pools => names.AddRange(pools.Select(static p => p.Key.Database)));
        return [.. names.Distinct()];
    }

    private static string? End(ClientSession session, string? database)
    {
        if (database == null || session.Pool.Key.Database == database)
        {
            session.EndByForce(SessionErrors.KilledByAdmin.Because("KILL was given."));
        }

        return null;
    }
}
