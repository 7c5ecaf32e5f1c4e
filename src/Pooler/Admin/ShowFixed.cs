namespace Pooler.Admin;

/// <summary>SHOW of a PostgreSQL setting that drivers ask for: a fixed answer.</summary>
internal sealed class ShowFixed(string name, string value) : ShowCommand(Admin.Columns.Text(name))
{
    protected override void Fill(Table table, AdminConsole console) => table.Add(value);
}
