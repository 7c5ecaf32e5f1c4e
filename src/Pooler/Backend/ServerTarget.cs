using System.Net;
using System.Net.Sockets;

namespace Pooler.Backend;

/// <summary>Where a server of a pool is reached and as whom: immutable, from the configuration.</summary>
internal sealed record ServerTarget(string Host, int Port, string Database, string User, string? Secret)
{
    private volatile int _minor = Protocol.StartupPacket.NewestMinor;

    /// <summary>Startup values the database entry asks for (client_encoding, datestyle …).</summary>
    public IReadOnlyList<KeyValuePair<string, string>> StartupValues { get; init; } = [];

    /// <summary>Where to find the keys for a <see cref="Secret"/> that is a SCRAM verifier; null where no client's keys are used.</summary>
    public ClientKeys? ClientKeys { get; init; }

    public TimeSpan ConnectTimeout { get; init; }

    /// <summary>
    /// The 3.x to ask for. PostgreSQL answers a newer one with its own (NegotiateProtocolVersion); for a server that refuses it
    /// instead this becomes 0. Any thread may find that out.
    /// </summary>
    public int Minor
    {
        get => _minor;
        set => _minor = value;
    }

    public Net.SocketOptions Options { get; init; } = new(true, 0, 0, 0, 0, 0);

    /// <summary>The directory for an empty host.</summary>
    public string UnixSocketDirectory { get; init; } = "/tmp";

    public bool IsUnix => Host.Length == 0 || Host[0] is '/' or '@';

    /// <summary>The address when it needs no name service; null otherwise.</summary>
    public SocketAddress? LiteralAddress
    {
        get
        {
            if (IsUnix)
            {
                string directory = Host.Length == 0 ? UnixSocketDirectory : Host;
                string path = $"{directory}/.s.PGSQL.{Port}";
                return new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path).Serialize();
            }

            return IPAddress.TryParse(Host, out IPAddress? address) ? new IPEndPoint(address, Port).Serialize() : null;
        }
    }

    /// <summary>Asks the name service; blocks, so it runs off the I/O threads.</summary>
    public static SocketAddress Resolve(ServerTarget target)
    {
        Net.IoThread.MustNotBeHere();
        return new IPEndPoint(Dns.GetHostAddresses(target.Host)[0], target.Port).Serialize();
    }
}
