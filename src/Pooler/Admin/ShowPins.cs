using System.Globalization;
using Pooler.Net;
using Pooler.Session;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PINS, ours: the clients that keep a server beyond their transactions, and why.</summary>
internal sealed class ShowPins() : ShowCommand(
    Text("client"), Text("database"), Text("user"), Text("addr"), Int4("port"), Text("since"), Text("reason"), Text("statement"))
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<PinFacts> pins = await Survey.Run(console.Threads, client, _ => console.Clients.OfCurrentThread(), PinFacts.Copy);
        var table = new Table(Columns);
        long clock = IoThread.Clock();
        foreach (PinFacts pin in pins)
        {
            table.Add(
                $"0x{pin.Session.Client.Id:x}", pin.Session.Identity.Database, pin.Session.Identity.User, pin.Address, $"{pin.Port}",
                DateTime.UtcNow.AddMicroseconds(pin.Since - clock).ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture),
                PinReasons.Text(pin.Reasons), pin.Statement);
        }

        return table;
    }
}
