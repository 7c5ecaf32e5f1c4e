using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Telemetry;

namespace Pooler.Frontend;

/// <summary>What every login needs of the process.</summary>
/// <param name="Console">Takes over a client that is logged in to the console database.</param>
/// <param name="CancelConsole">Cancels what a client of the console waits for; false when the process id is none of theirs.</param>
internal sealed record LoginContext(
    LiveConfig Live, Pools Pools, SessionTable Sessions, Credentials Credentials, ILogger Log, Action<Connection, ClientIdentity> Console,
    Func<int, byte[], bool> CancelConsole, Peers Peers)
{
    /// <summary>
    /// The process comes to its end: only the console takes new clients over the Unix socket (true); over TCP those are still served that
    /// came before it stopped to listen, if clients are waited for.
    /// </summary>
    public Func<bool, bool> IsStopping { get; init; } = static _ => false;

    /// <summary>What a session calls as its last act; one delegate for all of them.</summary>
    public Action<ClientSession, SessionEnd> SessionEnded => field ??= Ended;

    /// <summary>As in PgBouncer's log: C-address: database/user@address:port.</summary>
    public static string Describe(Connection client, ClientIdentity? identity)
    {
        (string address, int port) = client.Name(peer: true);
        return $"C-{client.Fd:x}: {identity?.Database ?? "(nodb)"}/{identity?.User ?? "(nouser)"}@{address}:{port}";
    }

    private void Ended(ClientSession session, SessionEnd end)
    {
        Sessions.Remove(session);
        Sessions.Disconnected();
        Pools.UncountClient(session.Pool, session.Identity.User);
        PoolerConfig config = Live.Current;
        bool logsError = end.Error != null && config.Get(Settings.LogPoolerErrors);
        bool logsEnd = config.Get(Settings.LogDisconnections);
        if (!logsError && !logsEnd)
        {
            return;
        }

        string name = Describe(session.Client, session.Identity);
        if (logsError)
        {
            Log.PoolerError(name, end.Reason);
        }

        if (logsEnd)
        {
            Log.ClientClosing(name, end.Reason, session.AgeSeconds);
        }
    }
}
