using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW DNS_ZONES (src/admin.c, admin_show_dns_zones): what stands behind the first dot of the names, and of how many. The serial is 0,
/// as in PgBouncer without dns_zone_check_period: nobody looks at it.
/// </summary>
internal sealed class ShowDnsZones() : ShowCommand(Text("zonename"), Int8("serial"), Int4("count"))
{
    /// <summary>The zones of the names.</summary>
    public static IEnumerable<IGrouping<string, string>> Of(IEnumerable<string> names) => names
        .Where(static name => name.IndexOf('.') is >= 0 and var dot && dot + 1 < name.Length)
        .GroupBy(static name => name[(name.IndexOf('.') + 1)..], StringComparer.OrdinalIgnoreCase);

    protected override void Fill(Table table, AdminConsole console)
    {
        foreach (var zone in Of(console.Names.Read().Select(static known => known.Name)))
        {
            table.Add(zone.Key, "0", $"{zone.Count()}");
        }
    }
}
