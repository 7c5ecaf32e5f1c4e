using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW POOLS (src/admin.c, admin_show_pools). cl_active counts idle clients too, as PgBouncer's list of active clients does; sv_tested
/// are servers being reset or checked, sv_used those idle for so long that they are checked before the next client.
/// </summary>
internal sealed class ShowPools() : ShowCommand(
    Text("database"), Text("user"), Int4("cl_active"), Int4("cl_waiting"), Int4("cl_active_cancel_req"), Int4("cl_waiting_cancel_req"),
    Int4("sv_active"), Int4("sv_active_cancel"), Int4("sv_being_canceled"), Int4("sv_idle"), Int4("sv_used"), Int4("sv_tested"),
    Int4("sv_login"), Int4("maxwait"), Int4("maxwait_us"), Text("pool_mode"), Text("load_balance_hosts"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        List<PoolFacts> pools = PoolFacts.ReadAll(console.Pools);
        bool isOwnShown = false;
        foreach (PoolFacts pool in pools)
        {
            if (!isOwnShown && string.CompareOrdinal(pool.Database, PoolerConfig.ConsoleDatabase) > 0)
            {
                AddOwn(table, console);
                isOwnShown = true;
            }

            Add(table, pool, console.Live.Current.FindDatabase(pool.Database) is { } database ? DatabaseFacts.LoadBalanceOf(database) : null);
        }

        if (!isOwnShown)
        {
            AddOwn(table, console);
        }
    }

    private static void Add(Table table, PoolFacts pool, string? loadBalance)
    {
        long wait = pool.LongestWait;
        table.Add(
            pool.Database, pool.User, $"{pool.ActiveClients}", $"{pool.Waiting}", $"{pool.CancelsActive}", $"{pool.CancelsWaiting}",
            $"{pool.Active}", $"{pool.ServerCancels}", $"{pool.BeingCanceled}", $"{pool.Idle}", $"{pool.Used}", $"{pool.Tested}",
            $"{pool.Login}", $"{wait / 1_000_000}", $"{wait % 1_000_000}", Settings.PoolMode.Format(pool.Mode), loadBalance);
    }

    private static void AddOwn(Table table, AdminConsole console) => table.Add(
        PoolerConfig.ConsoleDatabase, PoolerConfig.ConsoleDatabase, $"{console.Sessions.Count}", "0", "0", "0",
        "0", "0", "0", "0", "0", "0", "0", "0", "0", "statement", null);
}
