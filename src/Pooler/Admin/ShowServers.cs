using Pooler.Backend;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;

namespace Pooler.Admin;

/// <summary>SHOW SERVERS: active with a client, idle, used when idle for so long that it will be checked, tested while being reset or checked, new until it has logged in.</summary>
internal sealed class ShowServers() : ShowCommand(SocketRow.Columns)
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client) =>
        await SocketRow.ToTable(client, await ListAsync(console, client));

    public static async ValueTask<List<SocketRow>> ListAsync(AdminConsole console, Connection client)
    {
        List<(ServerSlot Slot, SlotState State, IoThread Thread)> slots = [];
        console.Pools.Read(pools =>
        {
            foreach (ServerPool pool in pools)
            {
                slots.AddRange(pool.Slots.Select(static s => (s, s.State, s.Server.Thread)));
            }
        });
        ILookup<IoThread, (ServerSlot, SlotState)> byThread = slots.ToLookup(static s => s.Thread, static s => (s.Slot, s.State));
        return await Survey.Run(
            console.Threads, client, t => (IReadOnlyList<(ServerSlot Slot, SlotState State)>)[.. byThread[t]], static s => Copy(s.Slot, s.State));
    }

    private static SocketRow? Copy(ServerSlot slot, SlotState state)
    {
        ServerConnection server = slot.Server;
        if (server.IsClosed)
        {
            return null;
        }

        // One that is on its way to another thread is not looked into: nothing of it is ours to touch.
        Connection? socket = server.Thread.IsCurrent ? server.Socket : null;
        var session = (server.Owner as Exchange)?.Session;
        long requested = session is { RequestedAt: > 0 } ? session.RequestedAt : slot.IdleSince > 0 ? slot.IdleSince : server.StartedAt;
        return new SocketRow(
            "S",
            server.Target.User,
            slot.Pool.Key.Database,
            Word(slot, state),
            server.Host.IsUnixSocket ? ("unix", server.Host.Port) : socket?.Name(peer: true) is { Port: > 0 } peer ? peer : (server.Host.Name, server.Host.Port),
            socket?.Name(peer: false) ?? ("", 0),
            server.StartedAt,
            requested,
            0,
            slot.CloseNeeded,
            socket?.Id ?? 0,
            session?.Client.Id ?? 0,
            server.ProcessId,
            server.Parameters.ApplicationName,
            socket == null ? 0 : server.Statements.Count)
        {
            Unread = socket?.Input.UnreadLength ?? 0,
            Unsent = (int)(socket?.Outbox.Pending ?? 0),
            Tls = socket?.Tls?.Description ?? "",
        };
    }

    private static string Word(ServerSlot slot, SlotState state) => state switch
    {
        SlotState.Login => "new",
        SlotState.Idle when slot.NeedsCheck(IoThread.Clock()) => "used",
        SlotState.Idle => "idle",
        SlotState.Housekeeping => "tested",
        SlotState.BeingCanceled => "being_canceled",
        _ => "active",
    };
}
