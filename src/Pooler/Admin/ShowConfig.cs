using Pooler.Config;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW CONFIG: the table of settings in its order, which is PgBouncer's with our own rows in between.</summary>
internal sealed class ShowConfig() : ShowCommand(Text("key"), Text("value"), Text("default"), Text("changeable"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        PoolerConfig config = console.Live.Current;
        foreach (Setting setting in Settings.All)
        {
            if (setting.Scope.HasFlag(SettingScope.Global))
            {
                table.Add(setting.Name, config.GetText(setting), setting.DefaultText, setting.WhenChanged == WhenChanged.AtOnce ? "yes" : "no");
            }
        }
    }
}
