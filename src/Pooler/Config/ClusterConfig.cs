using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>How the hosts of a database entry with <c>routing</c> are watched, and whom they serve.</summary>
internal sealed record ClusterConfig
{
    /// <summary>Most hosts of a cluster: sets of them are bits of a word.</summary>
    public const int MostHosts = 64;

    /// <summary>The entry's name.</summary>
    public required string Name { get; init; }

    public required ImmutableArray<HostAddress> Hosts { get; init; }

    /// <summary>The directory of hosts without a name.</summary>
    public required string UnixSocketDirectory { get; init; }

    /// <summary>The database that probes connect to.</summary>
    public required string DbName { get; init; }

    public required RoutingRule Routing { get; init; }

    /// <summary>Who probes, and with which password.</summary>
    public required string MonitorUser { get; init; }

    public string? MonitorPassword { get; init; }

    /// <summary>What prints that password where there is none; how long it may take, and how long its answer is good.</summary>
    public string? MonitorCommand { get; init; }

    public TimeSpan MonitorCommandTimeout { get; init; }

    public TimeSpan MonitorCommandTtl { get; init; }

    /// <summary>TLS with the hosts, as for servers; null: none.</summary>
    public ServerTls? Tls { get; init; }

    /// <summary>Between two probes of a host.</summary>
    public required TimeSpan HealthCheckInterval { get; init; }

    /// <summary>Longest probe, connect included: a host that takes longer is down.</summary>
    public required TimeSpan HealthCheckTimeout { get; init; }

    /// <summary>A replica that lacks more of the primary's WAL serves nobody (bytes); 0: any lag will do.</summary>
    public required long MaxReplicaLag { get; init; }

    /// <summary>One that lacks what the primary had so long ago serves nobody; zero: any lag will do.</summary>
    public required TimeSpan MaxReplicaLagTime { get; init; }

    /// <summary>How long work waits for a host that may take it.</summary>
    public required TimeSpan FailoverHoldTime { get; init; }

    /// <summary>Where that stands.</summary>
    public required SettingPlace FailoverHoldPlace { get; init; }

    /// <summary>What happens while a second host takes writes.</summary>
    public required TwoPrimariesRule OnTwoPrimaries { get; init; }

    /// <summary>Which of several hosts that may serve a request does.</summary>
    public required LoadBalanceRule LoadBalance { get; init; }

    /// <summary>Whose writes a read must not miss.</summary>
    public required ReadAfterWrite ReadAfterWrite { get; init; }

    /// <summary>Makes another host the primary, when a switchover is ready for it; null: somebody else does.</summary>
    public string? SwitchoverCommand { get; init; }

    /// <summary>How long a switchover waits for transactions to end.</summary>
    public required TimeSpan SwitchoverDrainTime { get; init; }

    /// <summary>Of each host.</summary>
    public required ImmutableArray<int> Weights { get; init; }

    /// <summary>The hosts in the zone of this process: bit i is host i.</summary>
    public required ulong Near { get; init; }

    /// <summary>Between two looks at what the database's names mean (read_write_split).</summary>
    public required TimeSpan CatalogueRefreshInterval { get; init; }

    /// <summary>Names that count as harmless, and as volatile, whatever the database's catalogue says of them.</summary>
    public required ImmutableArray<string> ReadOnlyFunctions { get; init; }

    public required ImmutableArray<string> VolatileFunctions { get; init; }

    /// <summary>Whether probes of this and the other are the same: then its hosts need not be looked at anew.</summary>
    public bool ProbesAs(ClusterConfig other) =>
        Hosts.SequenceEqual(other.Hosts) && this with
        {
            Hosts = other.Hosts,
            Routing = other.Routing,
            MaxReplicaLag = other.MaxReplicaLag,
            MaxReplicaLagTime = other.MaxReplicaLagTime,
            FailoverHoldTime = other.FailoverHoldTime,
            FailoverHoldPlace = other.FailoverHoldPlace,
            OnTwoPrimaries = other.OnTwoPrimaries,
            LoadBalance = other.LoadBalance,
            SwitchoverCommand = other.SwitchoverCommand,
            SwitchoverDrainTime = other.SwitchoverDrainTime,
            ReadAfterWrite = other.ReadAfterWrite,
            Weights = other.Weights,
            Near = other.Near,
            CatalogueRefreshInterval = other.CatalogueRefreshInterval,
            ReadOnlyFunctions = other.ReadOnlyFunctions,
            VolatileFunctions = other.VolatileFunctions,
        } == other;

    /// <summary>The name alone: a record would print the password.</summary>
    public override string ToString() => Name;
}
