using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW VERSION. Tools look for the first x.y.z to know which columns to expect: that is PgBouncer's, whose console this is.</summary>
internal sealed class ShowVersion() : ShowCommand(Text("version"))
{
    public static string TextOf(AdminConsole console) => $"PgBouncer {ConsoleSession.Dialect} compatible, {console.Version}";

    protected override void Fill(Table table, AdminConsole console) => table.Add(TextOf(console));
}
