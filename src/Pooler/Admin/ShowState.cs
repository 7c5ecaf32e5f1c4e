using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATE (src/admin.c, admin_show_state). Not active means that a PAUSE of all databases holds.</summary>
internal sealed class ShowState() : ShowCommand(Text("key"), Text("value"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        bool isPaused = console.Pools.IsPaused(null);
        table.Add("active", isPaused ? "no" : "yes");
        table.Add("paused", isPaused ? "yes" : "no");
        table.Add("suspended", "no");
    }
}
