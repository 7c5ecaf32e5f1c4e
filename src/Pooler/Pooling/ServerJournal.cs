using Microsoft.Extensions.Logging;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Telemetry;

namespace Pooler.Pooling;

/// <summary>The log lines of servers, one an event, in PgBouncer's words, and those of what is told to clients that go on.</summary>
internal sealed class ServerJournal(LiveConfig live, ILogger log)
{
    private const string Unreachable = "08001"; // sqlclient_unable_to_establish_sqlconnection

    public PoolerConfig Config => live.Current;

    /// <summary>A client was told of an error and goes on.</summary>
    public void ClientTold(string name, ErrorFields error)
    {
        if (live.Current.Get(Settings.LogPoolerErrors))
        {
            log.PoolerError(name, error.Message);
        }
    }

    public void LoggedIn(ServerSlot slot)
    {
        if (live.Current.Get(Settings.LogConnections))
        {
            (string address, int port) = slot.Server.Socket.Name(peer: false);
            string name = Describe(slot), local = EndpointText.Join(address, port);
            log.ServerConnected(name, local);
        }
    }

    /// <summary>A login that failed is always told: the clients only hear of the last one.</summary>
    public void Removed(ServerSlot slot, ErrorFields? failure, bool wasLogin)
    {
        string name = Describe(slot), reason = failure?.Message ?? "server conn crashed?";
        if (wasLogin && failure is { SqlState: Unreachable })
        {
            log.ServerUnreachable(name, failure.Message);
            reason = "connect failed";
        }
        else if (wasLogin && failure != null)
        {
            log.ServerLoginFailed(name, failure.Severity, failure.Message, failure.SqlState);
            reason = "login failed";
        }

        if (live.Current.Get(Settings.LogDisconnections))
        {
            log.ServerClosing(name, reason, (slot.Server.Thread.Now - slot.Server.StartedAt) / 1_000_000);
        }
    }

    public void ConnectQueryFailed(ServerSlot slot, ErrorFields error)
    {
        string name = Describe(slot);
        log.ConnectQueryFailed(name, error.Severity, error.SqlState, error.Message);
    }

    /// <summary>As in PgBouncer's log: S-ptr: database/user@host:port.</summary>
    private static string Describe(ServerSlot slot)
    {
        ServerConnection server = slot.Server;
        return $"S-0x{server.Socket?.Id ?? 0:x}: {slot.Pool.Key.Database}/{server.Target.User}@{server.Host}";
    }
}
