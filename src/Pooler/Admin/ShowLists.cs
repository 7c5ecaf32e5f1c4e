using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW LISTS (src/admin.c, admin_show_lists). Clients that log in are among the used ones, as are connections that cancel among the
/// servers. We keep no free objects: those are 0.
/// </summary>
internal sealed class ShowLists() : ShowCommand(Text("list"), Int4("items"))
{
    /// <summary>Each list and its length; any thread.</summary>
    public static List<KeyValuePair<string, int>> Read(AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        List<PoolFacts> pools = PoolFacts.ReadAll(console.Pools);
        int databases = config.Databases.Keys.Union(pools.Select(static p => p.Database)).Count();
        int ownClients = console.Sessions.Count;
        List<KeyValuePair<string, int>> lists = [];
        Add("databases", databases + 1);
        Add("users", ShowUsers.NamesOf(config, pools).Count());
        Add("peers", config.Peers.Count);
        Add("pools", pools.Count + 1);
        Add("peer_pools", console.Peers.Pools.Count);
        Add("free_clients", 0);
        Add("used_clients", console.Clients.Clients + ownClients);
        Add("login_clients", console.Clients.Logins);
        Add("free_servers", 0);
        Add("used_servers", pools.Sum(static p => p.Servers + p.ServerCancels));
        List<string> names = [.. console.Names.Read().Select(static known => known.Name)];
        (int running, int queued) = console.Names.Lookups;
        Add("dns_names", names.Count);
        Add("dns_zones", ShowDnsZones.Of(names).Count());
        Add("dns_queries", running);
        Add("dns_pending", queued);
        return lists;

        void Add(string list, int items) => lists.Add(KeyValuePair.Create(list, items));
    }

    protected override void Fill(Table table, AdminConsole console)
    {
        foreach ((string list, int items) in Read(console))
        {
            table.Add(list, $"{items}");
        }
    }
}
