using System.Collections.Immutable;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>
/// All hosts of a cluster as one immutable snapshot. A probe's answer makes the next one (<see cref="Answered"/>,
/// <see cref="Failed"/>): pure functions, so who is primary follows from what was seen and from nothing else.
/// </summary>
internal sealed record ClusterState(ImmutableArray<HostState> Hosts)
{
    // Microseconds. A probe is slow if it takes as long, and as many times as long as the median of the others'.
    private const long SlowLatency = 100_000, SlowFactor = 10;

    /// <summary>The host that is written to, whether it answers or not; null before one was found.</summary>
    public int? Primary { get; init; }

    /// <summary>The data set's; null before every host was asked once.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>The highest timeline of a primary ever accepted, also by a process before this one.</summary>
    public int Timeline { get; init; }

    /// <summary>Rises whenever another host, or the same after a promotion, becomes primary.</summary>
    public int Epoch { get; init; }

    /// <summary>From the configuration.</summary>
    public TwoPrimariesRule OnTwoPrimaries { get; init; }

    /// <summary>routing = multi_primary: every host that takes writes is a primary, of whatever data set.</summary>
    public bool HasManyPrimaries { get; init; }

    /// <summary>
    /// The host that a switchover goes to, while it goes on: nobody writes meanwhile, and once it takes writes it is the primary,
    /// whatever the old one says.
    /// </summary>
    public int? Successor { get; init; }

    /// <summary>Where the primary's WAL was.</summary>
    public LagHistory History { get; init; } = LagHistory.Empty;

    /// <summary>When the primary's postmaster had started, as it last said.</summary>
    public DateTime Started { get; init; }

    /// <summary>Its positions by the time they were asked for.</summary>
    public WalSamples Samples { get; init; } = WalSamples.Empty;

    /// <summary>What the primary last said.</summary>
    public HostFacts? Leader => Primary is { } index ? Hosts[index].Facts : null;

    /// <summary>A host that takes writes although another is primary; null when there is none. Of several the one on the latest timeline.</summary>
    public int? Rival
    {
        get
        {
            int? rival = null;
            for (int i = 0; i < Hosts.Length; i++)
            {
                if (Hosts[i] is { Role: HostRole.Rival, IsUp: true, Facts: { } facts } && (rival == null || facts.Timeline > Hosts[rival.Value].Facts!.Timeline))
                {
                    rival = i;
                }
            }

            return rival;
        }
    }

    /// <summary>The primary, if writes can go there.</summary>
    public HostState? WritablePrimary =>
        Successor == null && Primary is { } index && Hosts[index] is { TakesWrites: true } host && !IsContested ? host : null;

    /// <summary>on_two_primaries = hold: another takes writes as well, and its timeline does not say that it was replaced.</summary>
    private bool IsContested => OnTwoPrimaries == TwoPrimariesRule.Hold && Rival is { } rival && Hosts[rival].Facts!.Timeline >= Timeline;

    /// <summary>Every host was asked once.</summary>
    public bool IsKnown => Hosts.All(static h => h.SeenAt != 0);

    public static ClusterState Of(ImmutableArray<HostAddress> hosts) => new([.. hosts.Select(static address => new HostState(address))]);

    /// <summary>
    /// What a read has to see that must not miss what was written up to this time: the position in the first sample of the present
    /// primary that was asked for later, within the present <see cref="Epoch"/>. Null while there is none.
    /// </summary>
    public long? Bound(long after) => Samples.PositionAfter(after);

    /// <summary>Whether there is a host for whatever clients of the entry ask for.</summary>
    public bool IsServing(ClusterConfig config) => config.Routing switch
    {
        RoutingRule.MultiPrimary => Hosts.Any(static host => host.TakesWrites),
        RoutingRule.Replica => Hosts.Any(host => host.ServesReads(config)),
        RoutingRule.PreferReplica => WritablePrimary != null || Hosts.Any(host => host.ServesReads(config)),
        _ => WritablePrimary != null,
    };

    /// <summary>Whether requests go the same ways as before.</summary>
    public bool RoutesAs(ClusterState other, ClusterConfig config)
    {
        bool same = Primary == other.Primary && Epoch == other.Epoch && WritablePrimary == null == (other.WritablePrimary == null);
        for (int i = 0; same && i < Hosts.Length; i++)
        {
            HostState host = Hosts[i], before = other.Hosts[i];
            same = host.IsUp == before.IsUp && host.TakesWrites == before.TakesWrites && host.Role == before.Role && host.ServesReads(config) == before.ServesReads(config);
        }

        return same;
    }

    /// <summary>Under these settings.</summary>
    public ClusterState Under(ClusterConfig config, long now)
    {
        bool hasMany = config.Routing == RoutingRule.MultiPrimary;
        ClusterState state = this with { OnTwoPrimaries = config.OnTwoPrimaries, HasManyPrimaries = hasMany, Primary = hasMany ? null : Primary };
        return Election.Settle(state, now);
    }

    /// <summary>A switchover begins, or ends without one.</summary>
    public ClusterState SwitchingTo(int? host, long now) => Election.Settle(this with { Successor = host }, now);

    /// <summary>The host has not answered its probe.</summary>
    public ClusterState Failed(int index, string problem, long now)
    {
        HostState host = Hosts[index];
        return Election.Settle(With(index, host with { IsUp = false, Problem = problem, SeenAt = now, Health = host.Health.Missed(problem, now) }), now);
    }

    /// <summary>
    /// The host has no connection left for its probe (53300). A server that says so is alive: it stays what it was last seen as, up or
    /// down, and its lag counts from then.
    /// </summary>
    public ClusterState Refused(int index, string problem, long now)
    {
        HostState host = Hosts[index];
        return Election.Settle(With(index, host with { Problem = problem, SeenAt = now, Health = host.Health.Refused(problem, now) }), now);
    }

    /// <summary>The host has answered its probe.</summary>
    /// <param name="askedAt">When the question was sent; left out: so long ago as the answer took.</param>
    /// <param name="isTrial">It had been ejected, and was asked over a new connection.</param>
    public ClusterState Answered(int index, HostFacts facts, long now, long latency, long? askedAt = null, bool isTrial = false)
    {
        HostState seen = Hosts[index] with
        {
            IsUp = true,
            Facts = facts,
            Problem = null,
            SeenAt = now,
            Latency = latency,
            AskedAt = askedAt ?? now - latency,
            Health = Hosts[index].Health.Answered(now, isTrial),
        };
        seen = seen with { Health = seen.Health with { SlowProbes = IsSlow(index, latency) ? seen.Health.SlowProbes + 1 : 0 } };
        ClusterState next = Lagging.Measure(Election.Settle(With(index, seen), now), now);
        return next.EjectIfFailing(index, now, $"slow: a probe took {latency / 1000} ms");
    }

    /// <summary>A server of the host could not be opened.</summary>
    public ClusterState ServerFailed(int index, string problem, long now) =>
        With(index, Hosts[index] with { Health = Hosts[index].Health.ServerFailed(problem, now) }).EjectIfFailing(index, now, problem);

    /// <summary>A server of the host was opened.</summary>
    public ClusterState ServerOpened(int index, long now) => With(index, Hosts[index] with { Health = Hosts[index].Health.ServerOpened(now) });

    /// <summary>The last host that serves reads is not left out: where no other does, those that were ejected are back.</summary>
    public ClusterState Spared(ClusterConfig config, long now) =>
        !Hosts.Any(static h => h is { IsUp: true, Health.State: HealthState.Ejected }) || Hosts.Any(h => h.ServesReads(config)) ? this
        : this with { Hosts = [.. Hosts.Select(h => h is { IsUp: true, Health.State: HealthState.Ejected } ? h with { Health = h.Health.Spare(now) } : h)] };

    private ClusterState EjectIfFailing(int index, long now, string problem)
    {
        HostState host = Hosts[index];
        bool hasOther = Hosts.Where((other, i) => i != index && other is { IsUp: true, IsReadable: true, Health.State: not HealthState.Ejected }).Any();
        return host.IsReadable && hasOther && host.Health.IsFailing
            ? With(index, host with { Health = host.Health.Eject(now) with { LastProblem = problem, LastProblemAt = now } })
            : this;
    }

    private bool IsSlow(int index, long latency)
    {
        long[] others = [.. Hosts.Where((host, i) => i != index && host.IsUp).Select(static h => h.Latency).Order()];
        return others.Length > 0 && latency > SlowLatency && latency > SlowFactor * others[others.Length / 2];
    }

    private ClusterState With(int index, HostState host) => this with { Hosts = Hosts.SetItem(index, host) };
}
