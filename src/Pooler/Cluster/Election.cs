using System.Collections.Immutable;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>Which data set is the cluster's, what each host is to it, and who is written to: pure functions of what the probes saw.</summary>
internal static class Election
{
    /// <summary>
    /// The primary as it is stays while it answers and takes writes, unless on_two_primaries says otherwise. Another is accepted when
    /// it has a higher timeline than any primary before it: a promotion makes one, and a primary that was replaced and comes back
    /// has the old one. The first is chosen when every host was asked once, lest the one that answers first is one that was replaced.
    /// </summary>
    public static ClusterState Settle(ClusterState state, long now)
    {
        state = WithRoles(Identify(state));
        bool isWell = state.Primary is { } index && state.Hosts[index] is { IsUp: true, Role: HostRole.Primary, Facts.IsReadOnly: false };
        bool mayChange = state.Primary != null ? !isWell || state.OnTwoPrimaries == TwoPrimariesRule.Newest : state.IsKnown;
        int? next = mayChange ? NewestWritable(state, state.Primary == null ? state.Timeline : state.Timeline + 1) : null;
        return (next ?? state.Primary) is { } host && state.Hosts[host] is { IsUp: true, Facts: { } facts } && (next != null || state.Hosts[host].Role == HostRole.Primary)
            ? Follow(state, host, facts, now)
            : state;
    }

    /// <summary>Of the hosts that take writes, are of the cluster and on this timeline or a later one, that on the latest.</summary>
    private static int? NewestWritable(ClusterState state, int leastTimeline)
    {
        int? best = null;
        for (int i = 0; i < state.Hosts.Length; i++)
        {
            if (state.Hosts[i] is { IsUp: true, Role: HostRole.Rival, Facts: { IsReadOnly: false, Timeline: var timeline } } && timeline >= leastTimeline
                && (best == null || timeline > state.Hosts[best.Value].Facts!.Timeline))
            {
                best = i;
            }
        }

        return best;
    }

    private static ClusterState Follow(ClusterState state, int index, HostFacts facts, long now)
    {
        bool isNew = state.Primary != index || facts.Timeline != state.Timeline;
        long askedAt = state.Hosts[index].AskedAt;
        WalSamples samples = isNew || facts.StartedAt != state.Started ? WalSamples.Empty : state.Samples;
        ClusterState followed = state with
        {
            Primary = index,
            Timeline = facts.Timeline,
            Epoch = isNew ? state.Epoch + 1 : state.Epoch,
            Started = facts.StartedAt,
            Samples = samples.Kept is [.., var last] && last.AskedAt == askedAt ? samples : samples.With(new WalSample(askedAt, facts.Position)),
            History = (isNew ? LagHistory.Empty : state.History).With(facts.Position, now),
        };
        return isNew ? WithRoles(followed) : followed;
    }

    /// <summary>
    /// Once every host was asked: the data set that most of them have, of several the first in the list. One that subscribes to
    /// another of them is not counted: it is a copy of tables, not of the cluster.
    /// </summary>
    private static ClusterState Identify(ClusterState state)
    {
        if (state.SystemIdentifier != null || !state.IsKnown)
        {
            return state;
        }

        HostState[] seen = [.. state.Hosts.Where(static h => h.Facts != null)];
        HostState[] own = [.. seen.Where(h => !seen.Any(other => Subscribes(h.Facts!, other.Facts!) != null))];
        string? identifier = (own.Length > 0 ? own : seen).GroupBy(static h => h.Facts!.SystemIdentifier).MaxBy(static g => g.Count())?.Key;
        return state with { SystemIdentifier = identifier };
    }

    private static ClusterState WithRoles(ClusterState state)
    {
        ImmutableArray<HostState> hosts = state.Hosts;
        for (int i = 0; i < hosts.Length; i++)
        {
            HostRole role = RoleOf(state, i);
            hosts = role == hosts[i].Role ? hosts : hosts.SetItem(i, hosts[i] with { Role = role });
        }

        return hosts == state.Hosts ? state : state with { Hosts = hosts };
    }

    private static HostRole RoleOf(ClusterState state, int index)
    {
        if (state.Hosts[index].Facts is not { } facts || state.SystemIdentifier == null)
        {
            return HostRole.Unknown;
        }

        if (facts.SystemIdentifier != state.SystemIdentifier)
        {
            return state.Leader is { } leader && Subscribes(facts, leader) != null ? HostRole.Subscriber : HostRole.Foreign;
        }

        return facts.IsInRecovery ? HostRole.Replica
            : index == state.Primary && facts.Timeline >= state.Timeline ? HostRole.Primary
            : HostRole.Rival;
    }

    /// <summary>
    /// The subscription of a host to another one. That it is to this very one nobody can see from outside (its conninfo is for
    /// superusers); it is taken for one whose slot the other has for the same database, which a stranger's would have to be called.
    /// </summary>
    public static Subscription? Subscribes(HostFacts subscriber, HostFacts publisher) =>
        subscriber.IsInRecovery || subscriber.SystemIdentifier == publisher.SystemIdentifier ? null
        : subscriber.Subscriptions.FirstOrDefault(s => s.Slot != null && publisher.Slots.Any(slot => slot.Name == s.Slot));
}
