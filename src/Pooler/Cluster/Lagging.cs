using System.Collections.Immutable;

namespace Pooler.Cluster;

/// <summary>How far replicas are behind, and how the primary sees them: pure functions of what the probes saw.</summary>
internal static class Lagging
{
    /// <summary>The replicas' lag, after one host of the cluster was seen anew.</summary>
    public static ClusterState Measure(ClusterState state, long now) =>
        state with { Hosts = [.. state.Hosts.Select(host => Measure(state, host, now))] };

    private static HostState Measure(ClusterState state, HostState host, long now)
    {
        long? position = PositionOf(state, host);
        WalReceiver? receiver = state.Leader is { } leader ? ReceiverOf(leader, host, state.Hosts) : null;
        return host with
        {
            Lag = position is { } at ? Math.Max(0, state.Leader!.Position - at) : null,
            LagTime = position is { } place ? state.History.TimeSince(place, now) : null,
            SyncState = receiver?.SyncState,
        };
    }

    /// <summary>Up to where it has the primary's WAL; null where nobody can say.</summary>
    private static long? PositionOf(ClusterState state, HostState host)
    {
        if (host.Facts is not { } facts || state.Leader is not { } leader)
        {
            return null;
        }

        if (host.Role == HostRole.Subscriber && Election.Subscribes(facts, leader) is { } subscription)
        {
            // remote_lsn is the last commit applied; while others write to tables that are not published the confirmed one goes on.
            long? confirmed = leader.Slots.First(slot => slot.Name == subscription.Slot).Confirmed;
            return !subscription.IsReady ? null : Math.Max(subscription.Applied ?? 0, confirmed ?? 0) is > 0 and var at ? at : null;
        }

        // On another timeline positions mean something else, and a monitor without pg_monitor does not see the timeline.
        return host.Role == HostRole.Replica && facts.SeesAll && facts.Timeline == leader.Timeline ? facts.Position : null;
    }

    /// <summary>
    /// Which of those that receive a host's WAL is another of our hosts: by the slot it uses, by the name it gives itself, by its
    /// address where that is one host's only.
    /// </summary>
    public static WalReceiver? ReceiverOf(HostFacts sender, HostState host, ImmutableArray<HostState> hosts)
    {
        if (host.Facts is not { } facts || ReferenceEquals(facts, sender))
        {
            return null;
        }

        if (!facts.IsInRecovery)
        {
            return Election.Subscribes(facts, sender) is { } subscription
                ? sender.Receivers.FirstOrDefault(r => r.IsLogical && r.Slot == subscription.Slot)
                : null;
        }

        return (facts.SlotName == null ? null : sender.Receivers.FirstOrDefault(r => !r.IsLogical && r.Slot == facts.SlotName))
            ?? Only(facts.ClusterName, static r => r.Application, static f => f.ClusterName)
            ?? Only(facts.Address, static r => r.Address, static f => f.Address);

        WalReceiver? Only(string? name, Func<WalReceiver, string?> ofReceiver, Func<HostFacts, string?> ofHost)
        {
            if (string.IsNullOrEmpty(name) || hosts.Count(h => h.Facts is { IsInRecovery: true } other && ofHost(other) == name) != 1)
            {
                return null;
            }

            WalReceiver[] found = [.. sender.Receivers.Where(r => !r.IsLogical && ofReceiver(r) == name)];
            return found.Length == 1 ? found[0] : null;
        }
    }
}
