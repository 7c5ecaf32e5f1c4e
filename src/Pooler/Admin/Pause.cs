using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// PAUSE [db]: no server is lent any more, each is closed at its release, and the answer comes when all are closed (src/admin.c,
/// admin_cmd_pause; src/janitor.c). A client that gives up waiting (Ctrl-C) or leaves ends the pause it asked for.
/// </summary>
internal sealed class Pause : ConsoleCommand
{
    private const long PollMicroseconds = 50_000;

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        string? database = statement.Argument.Length > 0 ? statement.Argument : null;
        Pools pools = session.Console.Pools;
        session.Console.Log.Note(database == null ? "PAUSE command issued" : $"PAUSE '{database}' command issued");
        if (database == PoolerConfig.ConsoleDatabase)
        {
            session.Error($"cannot pause admin db: {database}");
        }
        else if (database != null && session.Console.Live.Current.FindDatabase(database) == null)
        {
            session.Error($"no such database: {database}");
        }
        else if (!pools.Pause(database) && database == null)
        {
            session.Error("already suspended/paused");
        }
        else
        {
            await WaitAsync(session, pools, database);
        }
    }

    private static async ValueTask WaitAsync(ConsoleSession session, Pools pools, string? database)
    {
        Connection client = session.Client;
        var timer = new PollTimer(client);
        while (pools.OpenServers(database) > 0)
        {
            if (session.IsCanceled || client.HasHungUp || client.Input.IsEnded)
            {
                pools.Resume(database, client.Owner.Now);
                session.Error("canceling statement due to user request", "57014");
                return;
            }

            if (!pools.IsPaused(database))
            {
                session.Error("RESUME ended the pause before all servers were closed", "57014");
                return;
            }

            client.Owner.Wheel.Set(timer, client.Owner.Now + PollMicroseconds);
            await client.Input.ParkAsync();
        }

        client.Owner.Wheel.Clear(timer);
        session.Complete("PAUSE");
    }

    private sealed class PollTimer(Connection client) : WheelTimer
    {
        internal override void Expired() => client.Input.Wake();
    }
}
