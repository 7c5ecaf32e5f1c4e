using System.Globalization;
using Pooler.Session;

namespace Pooler.Admin;

/// <summary>KILL_CLIENT id: drops one client, by its id in SHOW CLIENTS (src/admin.c, admin_cmd_kill_client).</summary>
internal sealed class KillClient : ConsoleCommand
{
    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        if (!long.TryParse(statement.Argument, NumberStyles.None, CultureInfo.InvariantCulture, out long id))
        {
            session.Error("invalid client pointer supplied");
            return;
        }

        AdminConsole console = session.Console;
        List<ClientSession> ended = await Survey.Run(console.Threads, session.Client, _ => console.Clients.OfCurrentThread(), s => End(s, id));
        if (ended.Count > 0)
        {
            session.Complete("KILL_CLIENT");
        }
        else
        {
            session.Error("client not found");
        }
    }

    private static ClientSession? End(ClientSession session, long id)
    {
        if ((session.Client.Id & int.MaxValue) != id || session.Phase == SessionPhase.Ended)
        {
            return null;
        }

        session.EndByForce(Kill.Reason, "08P01");
        return session;
    }
}
