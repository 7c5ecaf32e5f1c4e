using System.Globalization;
using Pooler.Errors;
using Pooler.Session;

namespace Pooler.Admin;

/// <summary>KILL_CLIENT id: drops one client, also one of the console, by its id in SHOW CLIENTS (src/admin.c, admin_cmd_kill_client).</summary>
internal sealed class KillClient : ConsoleCommand
{
    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        if (!long.TryParse(statement.Argument, NumberStyles.None, CultureInfo.InvariantCulture, out long id))
        {
            session.Error(ConsoleErrors.BadClient.Fields());
            return;
        }

        AdminConsole console = session.Console;
        List<ClientSession> ended = await Survey.Run(console.Threads, session.Client, _ => console.Clients.OfCurrentThread(), s => End(s, id));
        List<ConsoleSession> own = await Survey.Run(
            console.Threads, session.Client, t => (IReadOnlyList<ConsoleSession>)[.. console.Sessions.Where(s => s.Client.Owner == t)], s => End(s, id));
        if (ended.Count + own.Count > 0)
        {
            session.Complete("KILL_CLIENT");
        }
        else
        {
            session.Error(ConsoleErrors.NoClient.Fields());
        }
    }

    private static ConsoleSession? End(ConsoleSession session, long id)
    {
        if ((session.Client.Id & int.MaxValue) != id || session.Client.IsClosed)
        {
            return null;
        }

        session.EndByForce();
        return session;
    }

    private static ClientSession? End(ClientSession session, long id)
    {
        if ((session.Client.Id & int.MaxValue) != id || session.Phase == SessionPhase.Ended)
        {
            return null;
        }

        session.EndByForce(SessionErrors.KilledByAdmin.Because("KILL_CLIENT was given."));
        return session;
    }
}
