using Pooler.Net;

namespace Pooler.Session;

/// <summary>Who a client is: the database entry it asked for and the user it proved to be.</summary>
internal readonly record struct ClientIdentity(string Database, string User)
{
    /// <summary>As in PgBouncer's log: C-ptr (of SHOW CLIENTS): database/user@address:port, or @unix(pid):listen_port.</summary>
    public static string LogName(Connection client, ClientIdentity? identity, int listenPort)
    {
        string place = client.PeerProcess is { } pid ? $"unix({pid}):{listenPort}" : client.PeerAddress;
        return $"C-0x{client.Id:x}: {identity?.Database ?? "(nodb)"}/{identity?.User ?? "(nouser)"}@{place}";
    }
}
