using Pooler.Errors;
using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>WAIT_CLOSE [db]: answers when all servers are gone that RECONNECT or RELOAD has marked (src/admin.c, admin_cmd_wait_close).</summary>
internal sealed class WaitClose() : DatabaseCommand("WAIT_CLOSE", "wait in")
{
    protected override async ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        Pools pools = session.Console.Pools;
        if (await ConsoleWait.Until(session, () => pools.OpenServers(database, static s => s.CloseNeeded) == 0))
        {
            return true;
        }

        session.Error(ConsoleErrors.Canceled.Fields());
        return false;
    }
}
