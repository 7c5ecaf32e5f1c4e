using System.Globalization;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW DATABASES (src/admin.c, admin_show_databases): the entries, the databases made from the entry *, and the console.</summary>
internal sealed class ShowDatabases() : ShowCommand(
    Text("name"), Text("host"), Int4("port"), Text("database"), Text("force_user"), Int4("pool_size"), Int4("min_pool_size"),
    Int4("reserve_pool_size"), Int4("server_lifetime"), Text("pool_mode"), Text("load_balance_hosts"), Int4("max_connections"),
    Int4("current_connections"), Int4("max_client_connections"), Int4("current_client_connections"), Int4("paused"), Int4("disabled"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (DatabaseFacts d in DatabaseFacts.ReadAll(console))
        {
            table.Add(
                d.Name, d.Host, $"{d.Port}", d.DbName, d.ForcedUser, $"{d.PoolSize}", $"{d.MinPoolSize}", $"{d.ReservePoolSize}",
                ((long)d.ServerLifetime.TotalSeconds).ToString(CultureInfo.InvariantCulture), d.PoolMode, d.LoadBalance, $"{d.MaxConnections}",
                $"{d.Connections}", $"{d.MaxClients}", $"{d.Clients}", d.IsPaused ? "1" : "0", d.IsDisabled ? "1" : "0");
        }
    }
}
