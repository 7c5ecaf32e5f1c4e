using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;

namespace Pooler.Admin;

/// <summary>
/// SHOW CLIENTS (src/admin.c, admin_show_clients). A client is active while it holds a server, waiting while it asks for one or waits for
/// the first of its pool to be greeted, else idle; its wait counts from the request that is not answered yet (PgBouncer's query_start).
/// CancelRequests are clients too.
/// </summary>
internal sealed class ShowClients() : ShowCommand(SocketRow.Columns)
{
    internal override async ValueTask<Table> ReadAsync(AdminConsole console, Connection client)
    {
        List<SocketRow> rows = await ListAsync(console, client);
        rows.AddRange(await Survey.Run(console.Threads, client, _ => CancelsOf(console.Clients.OfCurrentThread()), static row => row));
        return await SocketRow.ToTable(client, rows);
    }

    public static async ValueTask<List<SocketRow>> ListAsync(AdminConsole console, Connection client)
    {
        int port = console.Live.Current.Get(Settings.ListenPort);
        List<SocketRow> rows = await Survey.Run(
            console.Threads, client, _ => console.Clients.OfCurrentThread(), s => Copy(s, port));
        rows.AddRange(await Survey.Run(
            console.Threads, client, t => (IReadOnlyList<ConsoleSession>)[.. console.Sessions.Where(s => s.Client.Owner == t)], s => Copy(s, port)));
        ILookup<IoThread, (LoginFacts Login, long Since)> logins = WaitingLogins(console.Pools).ToLookup(static l => l.Login.Client.Owner);
        rows.AddRange(await Survey.Run(
            console.Threads, client, t => (IReadOnlyList<(LoginFacts Login, long Since)>)[.. logins[t]], l => Copy(l.Login, l.Since, port)));
        return rows;
    }

    private static List<(LoginFacts Login, long Since)> WaitingLogins(Pools pools)
    {
        List<(LoginFacts, long)> logins = [];
        pools.Read(all =>
        {
            foreach (WaiterQueue queue in all.SelectMany(static p => p.Waiters))
            {
                for (Waiter? waiter = queue.Oldest; waiter != null; waiter = waiter.Next)
                {
                    if (waiter.Login is { } login)
                    {
                        logins.Add((login, waiter.Since));
                    }
                }
            }
        });
        return logins;
    }

    private static SocketRow? Copy(LoginFacts login, long since, int port) => login.Client.IsClosed ? null
        : Row(login.Client, new ClientIdentity(login.Database, login.User), port) with
        {
            State = "waiting",
            ConnectedAt = login.ConnectedAt,
            RequestedAt = login.ConnectedAt,
            WaitsSince = since,
            ApplicationName = login.ApplicationName,
        };

    private static List<SocketRow> CancelsOf(IReadOnlyList<ClientSession> sessions)
    {
        List<SocketRow> rows = [];
        foreach (ClientSession session in sessions)
        {
            foreach (CancelRequest cancel in session.Exchange?.Cancels ?? [])
            {
                string state = cancel.IsActive ? "active_cancel_req" : "waiting_cancel_req";
                rows.Add(new SocketRow("C", "(nouser)", session.Identity.Database, state, cancel.Peer, cancel.Local, cancel.At, cancel.At, 0, false, cancel.Id, 0, 0, ""));
            }
        }

        return rows;
    }

    private static SocketRow? Copy(ClientSession session, int port)
    {
        if (session.Client.IsClosed || session.Phase == SessionPhase.Ended)
        {
            return null;
        }

        bool isWaiting = session.Phase == SessionPhase.Waiting;
        long requested = session.RequestedAt > 0 ? session.RequestedAt : session.ConnectedAt;
        return Row(session.Client, session.Identity, port) with
        {
            State = isWaiting ? "waiting" : session.Server != null ? "active" : "idle",
            ConnectedAt = session.ConnectedAt,
            RequestedAt = requested,
            WaitsSince = isWaiting || session.AwaitsReplies ? requested : 0,
            Link = session.Server?.Socket.Id ?? 0,
            ApplicationName = session.Parameters.ApplicationName,
            PreparedStatements = session.Exchange?.PreparedStatements ?? 0,
        };
    }

    private static SocketRow? Copy(ConsoleSession session, int port) => session.Client.IsClosed ? null : Row(session.Client, session.Identity, port) with
    {
        ConnectedAt = session.ConnectedAt,
        RequestedAt = session.RequestedAt,
        WaitsSince = session.RequestedAt,
        ApplicationName = session.ApplicationName,
        PreparedStatements = session.PreparedStatements,
    };

    private static SocketRow Row(Connection client, ClientIdentity identity, int port)
    {
        (string Address, int Port) peer = client.Name(peer: true), local = client.Name(peer: false);
        bool isUnix = local is { Address: "unix", Port: 0 };
        return new SocketRow(
            "C", identity.User, identity.Database, "idle", isUnix ? ("unix", port) : peer, isUnix ? ("unix", port) : local,
            0, 0, 0, false, client.Id, 0, isUnix ? Syscalls.PeerProcess(client.Fd) : 0, "")
        {
            Unread = client.Input.UnreadLength,
            Unsent = (int)client.Outbox.Pending,
            Tls = client.Tls?.Description ?? "",
        };
    }
}
