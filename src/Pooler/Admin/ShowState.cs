using Pooler.Pooling;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW STATE (src/admin.c, admin_show_state). Not active means that a PAUSE or SUSPEND of all databases holds.</summary>
internal sealed class ShowState() : ShowCommand(Text("key"), Text("value"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        PauseMode pause = console.Pools.PauseOfAll;
        table.Add("active", pause == PauseMode.None ? "yes" : "no");
        table.Add("paused", pause == PauseMode.Paused ? "yes" : "no");
        table.Add("suspended", pause == PauseMode.Suspended ? "yes" : "no");
    }
}
