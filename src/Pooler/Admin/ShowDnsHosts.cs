using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW DNS_HOSTS (src/admin.c, admin_show_dns_hosts): the names that are known, the seconds until each is looked up again when it is
/// needed, and its addresses, with a port that means nothing, as PgBouncer prints them.
/// </summary>
internal sealed class ShowDnsHosts() : ShowCommand(Text("hostname"), Int8("ttl"), Text("addrs"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (var (name, seconds, addresses) in console.Names.Read())
        {
            table.Add(name, $"{seconds}", string.Join(',', addresses.Select(static address => new System.Net.IPEndPoint(address, 0).ToString())));
        }
    }
}
