using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW USERS (src/admin.c, admin_show_users): all users known by name. The sizes are texts of nine places, or empty, as
/// PgBouncer prints them. Servers count for the user they log in as, clients for theirs, which a forced user does not change.
/// </summary>
internal sealed class ShowUsers() : ShowCommand(
    Text("name"), Text("pool_size"), Text("reserve_pool_size"), Text("pool_mode"), Int4("max_user_connections"), Int4("current_connections"),
    Int4("max_user_client_connections"), Int4("current_client_connections"))
{
    /// <summary>Names from auth_file, [users], the pools and the console.</summary>
    public static IEnumerable<string> NamesOf(PoolerConfig config, IEnumerable<PoolFacts> pools) =>
        ((IEnumerable<string>)[.. config.Secrets.Keys, .. config.Users.Keys, .. pools.Select(static p => p.User), PoolerConfig.ConsoleDatabase]).Distinct();

    protected override void Fill(Table table, AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        List<PoolFacts> pools = PoolFacts.ReadAll(console.Pools);
        ILookup<string, PoolFacts> byUser = pools.ToLookup(static p => p.User);
        Dictionary<string, int> clients = console.Pools.ClientsByUser();
        foreach (string name in NamesOf(config, pools).Order(StringComparer.Ordinal))
        {
            UserConfig? user = config.Users.GetValueOrDefault(name);
            table.Add(
                name,
                Size(user?.PoolSize),
                Size(user?.ReservePoolSize),
                user?.PoolMode is { } mode ? Settings.PoolMode.Format(mode) : null,
                $"{user?.MaxUserConnections ?? config.Get(Settings.MaxUserConnections)}",
                $"{byUser[name].Sum(static p => p.Servers)}",
                $"{user?.MaxUserClientConnections ?? config.Get(Settings.MaxUserClientConnections)}",
                $"{clients.GetValueOrDefault(name) + console.Sessions.Count(s => s.Identity.User == name)}");
        }
    }

    private static string Size(int? size) => size is { } set ? $"{set,9}" : "";
}
