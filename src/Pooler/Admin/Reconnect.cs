namespace Pooler.Admin;

/// <summary>RECONNECT [db]: every server is replaced, busy ones at their release; it does not wait (src/admin.c, admin_cmd_reconnect).</summary>
internal sealed class Reconnect() : DatabaseCommand("RECONNECT", "reconnect")
{
    protected override ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        session.Console.Names.Expire(); // Who has changed the DNS wants to see it.
        session.Console.Pools.Change(database, static (pool, change) => change.Retire(pool, "RECONNECT"));
        return ValueTask.FromResult(true);
    }
}
