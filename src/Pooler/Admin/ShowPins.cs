using System.Globalization;
using Pooler.Net;
using Pooler.Session;
using Pooler.Sql;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PINS, ours: the clients that keep a server beyond their transactions, and why.</summary>
internal sealed class ShowPins() : ShowCommand(
    Text("client"), Text("database"), Text("user"), Text("addr"), Int4("port"), Text("since"), Text("reason"), Text("statement"))
{
    private sealed record PinnedClient(ClientSession Session, string Address, int Port, long Since, PinReason Reasons, string Statement);

    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<PinnedClient> pins = await Survey.Run(
            console.Threads, client, _ => console.Clients.OfCurrentThread(), Copy);
        var table = new Table(Columns);
        long clock = IoThread.Clock();
        foreach (PinnedClient pin in pins)
        {
            table.Add(
                $"0x{pin.Session.Client.Id:x}", pin.Session.Identity.Database, pin.Session.Identity.User, pin.Address, $"{pin.Port}",
                DateTime.UtcNow.AddMicroseconds(pin.Since - clock).ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture),
                PinReasons.Text(pin.Reasons), pin.Statement);
        }

        return table;
    }

    private static PinnedClient? Copy(ClientSession session)
    {
        if (session.Server == null || session.Exchange is not { PinReasons: not PinReason.None } exchange || session.Phase == SessionPhase.Ended)
        {
            return null;
        }

        (string address, int port) = session.Client.Name(peer: true);
        return new PinnedClient(session, address, port, exchange.Pins.Since, exchange.PinReasons, exchange.Pins.Statement);
    }
}
