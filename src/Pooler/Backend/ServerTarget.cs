using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Pooler.Config;

namespace Pooler.Backend;

/// <summary>Where the servers of a pool are reached and as whom: immutable, from the configuration.</summary>
internal sealed record ServerTarget(ImmutableArray<HostAddress> Hosts, string Database, string User, string? OwnSecret)
{
    private volatile int _minor = Protocol.StartupPacket.NewestMinor;
    private int _turn;

    /// <summary>Startup values the database entry asks for (client_encoding, datestyle …).</summary>
    public IReadOnlyList<KeyValuePair<string, string>> StartupValues { get; init; } = [];

    /// <summary>The database entry this is for.</summary>
    public string Entry { get; init; } = "";

    /// <summary>Where to find the secret of a user that the configuration does not know; null where only the configured one is used.</summary>
    public FetchedSecrets? Fetched { get; init; }

    /// <summary>The user's, as it is known now.</summary>
    public string? Secret => OwnSecret ?? Fetched?.Find(Entry, User);

    /// <summary>Where to find the keys for a <see cref="Secret"/> that is a SCRAM verifier; null where no client's keys are used.</summary>
    public ClientKeys? ClientKeys { get; init; }

    /// <summary>What prints the password to log in with, for whichever host; null: it is <see cref="Secret"/>.</summary>
    public PasswordCommand? PasswordCommand { get; init; }

    /// <summary>What such commands have printed.</summary>
    public required ServerPasswords Passwords { get; init; }

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

    /// <summary>What the names among the hosts stand for.</summary>
    public required Net.HostNames Names { get; init; }

    /// <summary>TLS with its hosts; null: none.</summary>
    public ServerTls? Tls { get; init; }

    public Net.SocketOptions Options { get; init; } = new(true, 0, 0, 0, 0, 0);

    /// <summary>The directory for an empty host.</summary>
    public string UnixSocketDirectory { get; init; } = "/tmp";

    /// <summary>Which of several hosts the next server goes to.</summary>
    public LoadBalanceHosts LoadBalanceHosts { get; init; }

    /// <summary>The only host that new servers go to, by its index (load_balance_hosts = disable); null where they go to all.</summary>
    public int? OnlyHost => LoadBalanceHosts == LoadBalanceHosts.Disable ? HostAt(Volatile.Read(ref _turn)) : null;

    /// <summary>The host of a new server, by its index (PgBouncer: the next in turn, or the same until a connect to it fails; libpq: any).</summary>
    public int NextHost() => LoadBalanceHosts switch
    {
        LoadBalanceHosts.Random => Random.Shared.Next(Hosts.Length),
        LoadBalanceHosts.RoundRobin => HostAt(Interlocked.Increment(ref _turn) - 1),
        _ => HostAt(Volatile.Read(ref _turn)),
    };

    /// <summary>A server of this host has failed to connect or to log in.</summary>
    public void Failed(HostAddress host)
    {
        int turn = Volatile.Read(ref _turn);
        if (LoadBalanceHosts == LoadBalanceHosts.Disable && Hosts[HostAt(turn)] == host)
        {
            Interlocked.CompareExchange(ref _turn, turn + 1, turn);
        }
    }

    /// <summary>The command for a host; null when there is none.</summary>
    public PasswordCommand? PasswordCommandOf(HostAddress host) =>
        PasswordCommand == null ? null : PasswordCommand with { Host = host.Name.Length == 0 ? UnixSocketDirectory : host.Name, Port = host.Port };

    /// <summary>The address of a host when it needs no lookup; null otherwise.</summary>
    public SocketAddress? LiteralAddress(HostAddress host) => LiteralAddress(host, UnixSocketDirectory);

    /// <inheritdoc cref="LiteralAddress(HostAddress)"/>
    public static SocketAddress? LiteralAddress(HostAddress host, string unixSocketDirectory)
    {
        if (host.IsUnixSocket)
        {
            string directory = host.Name.Length == 0 ? unixSocketDirectory : host.Name;
            string path = $"{directory}/.s.PGSQL.{host.Port}";
            return new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path).Serialize();
        }

        return IPAddress.TryParse(host.Name, out IPAddress? address) ? new IPEndPoint(address, host.Port).Serialize() : null;
    }

    private int HostAt(int turn) => (int)((uint)turn % (uint)Hosts.Length);
}
