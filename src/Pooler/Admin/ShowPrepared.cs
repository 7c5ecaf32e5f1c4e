using System.Text;
using Pooler.Backend;
using Pooler.Net;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PREPARED, ours: the shared prepared statements, the most used first.</summary>
internal sealed class ShowPrepared() : ShowCommand(
    Text("name"), Text("database"), Text("user"), Int4("clients"), Int4("servers"), Int8("uses"), Int4("bytes"), Text("text"))
{
    private const int LongestText = 200;

    /// <summary>Texts of statements may hold what only their clients should know.</summary>
    internal override bool IsAdminOnly => true;

    internal override ValueTask<Table> ReadAsync(AdminConsole console, Connection client) => Offload.Run(
        client,
        static s =>
        {
            var table = new Table(s.Columns);
            foreach (PreparedStatement statement in s.Statements.List().OrderByDescending(static p => p.Uses))
            {
                ReadOnlySpan<byte> text = statement.Text;
                table.Add(
                    Encoding.ASCII.GetString(statement.OwnName), statement.Identity.Database, statement.Identity.User, $"{statement.Clients}", $"{statement.Servers}",
                    $"{statement.Uses}", $"{statement.Bytes}", Encoding.UTF8.GetString(text[..Math.Min(text.Length, LongestText)]));
            }

            return table;
        },
        (Columns, console.Pools.Statements));
}
