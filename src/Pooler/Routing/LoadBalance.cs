using System.Collections.Immutable;
using System.Numerics;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Pooling;

namespace Pooler.Routing;

/// <summary>Of several hosts that may serve a request, the one that does (<c>load_balance</c>). Hosts of the own zone come first.</summary>
internal static class LoadBalance
{
    /// <summary>Differences of the round trip that are none (µs).</summary>
    private const long Noise = 200;

    /// <param name="candidates">Bit i: host i may be chosen.</param>
    public static int? Pick(HostPools hosts, ClusterState state, ulong candidates)
    {
        ClusterConfig config = hosts.Cluster.Config;
        candidates = Prefer(candidates, config.Near);
        if (BitOperations.PopCount(candidates) > 1)
        {
            candidates = Prefer(candidates, HavingWeight(candidates, config.Weights));
        }

        return BitOperations.PopCount(candidates) switch
        {
            0 => null,
            1 => BitOperations.TrailingZeroCount(candidates),
            var count => config.LoadBalance switch
            {
                LoadBalanceRule.RoundRobin => Nth(candidates, (int)(hosts.NextTurn() % (uint)count)),
                LoadBalanceRule.Random => Nth(candidates, Random.Shared.Next(count)),
                LoadBalanceRule.Weighted => ByWeight(candidates, config.Weights),
                LoadBalanceRule.Latency => LeastBusy(hosts, Quickest(candidates, state.Hosts), config.Weights),
                _ => LeastBusy(hosts, candidates, config.Weights),
            },
        };
    }

    /// <summary>Those of the wanted that there are; all, if there is none.</summary>
    private static ulong Prefer(ulong candidates, ulong wanted) => (candidates & wanted) == 0 ? candidates : candidates & wanted;

    private static ulong HavingWeight(ulong candidates, ImmutableArray<int> weights)
    {
        ulong having = 0;
        for (ulong rest = candidates; rest != 0; rest &= rest - 1)
        {
            int host = BitOperations.TrailingZeroCount(rest);
            having |= weights[host] > 0 ? 1ul << host : 0;
        }

        return having;
    }

    /// <summary>Fewest clients for its weight; of several equal ones any, lest the first gets all of a light load.</summary>
    private static int LeastBusy(HostPools hosts, ulong candidates, ImmutableArray<int> weights)
    {
        int best = -1, ties = 1;
        long bestLoad = 0, bestWeight = 1;
        for (ulong rest = candidates; rest != 0; rest &= rest - 1)
        {
            int host = BitOperations.TrailingZeroCount(rest);
            long load = hosts.Pools[host].Load + 1, weight = Math.Max(1, weights[host]);
            long difference = (load * bestWeight) - (bestLoad * weight);
            ties = best >= 0 && difference == 0 ? ties + 1 : 1;
            if (best < 0 || difference < 0 || (difference == 0 && Random.Shared.Next(ties) == 0))
            {
                (best, bestLoad, bestWeight) = (host, load, weight);
            }
        }

        return best;
    }

    private static int ByWeight(ulong candidates, ImmutableArray<int> weights)
    {
        int sum = 0;
        for (ulong rest = candidates; rest != 0; rest &= rest - 1)
        {
            sum += Math.Max(1, weights[BitOperations.TrailingZeroCount(rest)]);
        }

        int drawn = Random.Shared.Next(sum);
        ulong left = candidates;
        while ((drawn -= Math.Max(1, weights[BitOperations.TrailingZeroCount(left)])) >= 0)
        {
            left &= left - 1;
        }

        return BitOperations.TrailingZeroCount(left);
    }

    private static ulong Quickest(ulong candidates, ImmutableArray<HostState> hosts)
    {
        long best = long.MaxValue;
        for (ulong rest = candidates; rest != 0; rest &= rest - 1)
        {
            best = Math.Min(best, hosts[BitOperations.TrailingZeroCount(rest)].Latency);
        }

        ulong quick = 0;
        for (ulong rest = candidates; rest != 0; rest &= rest - 1)
        {
            int host = BitOperations.TrailingZeroCount(rest);
            quick |= hosts[host].Latency <= (best * 3 / 2) + Noise ? 1ul << host : 0;
        }

        return quick;
    }

    private static int Nth(ulong candidates, int index)
    {
        for (; index > 0; index--)
        {
            candidates &= candidates - 1;
        }

        return BitOperations.TrailingZeroCount(candidates);
    }
}
