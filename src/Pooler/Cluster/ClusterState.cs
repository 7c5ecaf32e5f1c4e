using System.Collections.Immutable;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>
/// All hosts of a cluster as one immutable snapshot. A probe's answer makes the next one (<see cref="Answered"/>,
/// <see cref="Failed"/>): pure functions, so who is primary follows from what was seen and from nothing else.
/// </summary>
internal sealed record ClusterState(ImmutableArray<HostState> Hosts)
{
    /// <summary>The host that is written to, whether it answers or not; null before one was found.</summary>
    public int? Primary { get; init; }

    /// <summary>The data set's; null before the first answer.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>The highest timeline of a primary ever accepted.</summary>
    public int Timeline { get; init; }

    /// <summary>Rises whenever another host, or the same after a promotion, becomes primary.</summary>
    public int Epoch { get; init; }

    /// <summary>Where the primary's WAL was.</summary>
    public LagHistory History { get; init; } = LagHistory.Empty;

    /// <summary>When the primary's postmaster had started, as it last said.</summary>
    public DateTime Started { get; init; }

    /// <summary>Its positions by the time they were asked for.</summary>
    public WalSamples Samples { get; init; } = WalSamples.Empty;

    /// <summary>A host that takes writes although another is primary; null when there is none.</summary>
    public int? Rival => Hosts.IndexOf(Hosts.FirstOrDefault(static h => h is { Role: HostRole.Rival, IsUp: true })!) is >= 0 and int index ? index : null;

    /// <summary>The primary, if writes can go there.</summary>
    public HostState? WritablePrimary => Primary is { } index && Hosts[index] is { IsUp: true, Role: HostRole.Primary } host ? host : null;

    /// <summary>
    /// What a read has to see that must not miss what was written up to this time: the position in the first sample of the present
    /// primary that was asked for later, within the present <see cref="Epoch"/>. Null while there is none.
    /// </summary>
    public long? Bound(long after) => Samples.PositionAfter(after);

    /// <summary>Every host was asked once.</summary>
    public bool IsKnown => Hosts.All(static h => h.SeenAt != 0);

    /// <summary>Whether there is a host for whatever clients of the entry ask for.</summary>
    public bool IsServing(ClusterConfig config) => config.Routing switch
    {
        RoutingRule.Replica => Hosts.Any(host => host.ServesReads(config)),
        RoutingRule.PreferReplica => WritablePrimary != null || Hosts.Any(host => host.ServesReads(config)),
        _ => WritablePrimary != null,
    };

    /// <summary>Whether requests go the same ways as before.</summary>
    public bool RoutesAs(ClusterState other, ClusterConfig config)
    {
        bool same = Primary == other.Primary && Epoch == other.Epoch;
        for (int i = 0; same && i < Hosts.Length; i++)
        {
            HostState host = Hosts[i], before = other.Hosts[i];
            same = host.IsUp == before.IsUp && host.Role == before.Role && host.ServesReads(config) == before.ServesReads(config);
        }

        return same;
    }

    public static ClusterState Of(ImmutableArray<HostAddress> hosts) => new([.. hosts.Select(static address => new HostState(address))]);

    /// <summary>The host has not answered its probe.</summary>
    public ClusterState Failed(int index, string problem, long now) =>
        With(index, Hosts[index] with { IsUp = false, Problem = problem, SeenAt = now }).Elect(now);

    /// <summary>The host has answered its probe.</summary>
    public ClusterState Answered(int index, HostFacts facts, long now, long latency)
    {
        string identifier = SystemIdentifier ?? facts.SystemIdentifier;
        HostRole role = facts.SystemIdentifier != identifier ? HostRole.Foreign
            : facts.IsInRecovery ? HostRole.Replica
            : index == Primary && facts.Timeline >= Timeline ? HostRole.Primary
            : HostRole.Rival; // Until it is elected.
        HostState seen = Hosts[index] with { Role = role, IsUp = true, Facts = facts, Problem = null, SeenAt = now, Latency = latency, AskedAt = now - latency };
        return (With(index, seen) with { SystemIdentifier = identifier }).Elect(now).Measured(now);
    }

    /// <summary>
    /// The primary as it is stays while it answers and takes writes. Another is accepted when it has a higher timeline than any
    /// primary before it: a promotion makes one, and a primary that was replaced and comes back has the old one. The first is
    /// chosen when every host was asked once, lest the one that answers first is one that was replaced.
    /// </summary>
    private ClusterState Elect(long now)
    {
        if (WritablePrimary != null)
        {
            return Follow(Primary!.Value, now);
        }

        int least = Primary == null ? Timeline : Timeline + 1;
        if (Primary == null && !IsKnown)
        {
            return this;
        }

        int best = -1;
        for (int i = 0; i < Hosts.Length; i++)
        {
            if (Hosts[i] is { IsUp: true, Role: HostRole.Rival, Facts.Timeline: int timeline } && timeline >= least
                && (best < 0 || timeline > Hosts[best].Facts!.Timeline))
            {
                best = i;
            }
        }

        return best < 0 ? this : Follow(best, now);
    }

    private ClusterState Follow(int index, long now)
    {
        HostState host = Hosts[index];
        HostFacts facts = host.Facts!;
        bool isNew = Primary != index || facts.Timeline != Timeline;
        WalSamples samples = isNew || facts.StartedAt != Started ? WalSamples.Empty : Samples;
        ClusterState state = Primary is { } before && before != index && Hosts[before].Role == HostRole.Primary
            ? With(before, Hosts[before] with { Role = HostRole.Rival })
            : this;
        return state.With(index, Hosts[index] with { Role = HostRole.Primary }) with
        {
            Primary = index,
            Timeline = facts.Timeline,
            Epoch = isNew ? Epoch + 1 : Epoch,
            Started = facts.StartedAt,
            Samples = samples.Kept is [.., var last] && last.AskedAt == host.AskedAt ? samples : samples.With(new WalSample(host.AskedAt, facts.Position)),
            History = (isNew ? LagHistory.Empty : History).With(facts.Position, now),
        };
    }

    private ClusterState With(int index, HostState host) => this with { Hosts = Hosts.SetItem(index, host) };

    /// <summary>The replicas' lag, after one of the cluster was seen anew.</summary>
    private ClusterState Measured(long now) => this with { Hosts = [.. Hosts.Select(host => Measured(host, now))] };

    private HostState Measured(HostState host, long now)
    {
        // On another timeline positions mean something else.
        if (host is not { Role: HostRole.Replica, Facts: { } facts } || Primary is not { } primary || Hosts[primary].Facts is not { } leader
            || facts.Timeline != leader.Timeline)
        {
            return host with { Lag = null, LagTime = null };
        }

        return host with { Lag = Math.Max(0, leader.Position - facts.Position), LagTime = History.TimeSince(facts.Position, now) };
    }
}
