using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>What SHOW tells of one pool, copied under the pools' lock.</summary>
internal sealed record PoolFacts
{
    public required string Database { get; init; }

    public required string User { get; init; }

    /// <summary>Of a host's pool alone.</summary>
    public HostAddress? Host { get; private init; }

    public required PoolMode Mode { get; init; }

    /// <summary>Logged-in clients, and of all who wait for a server those logging in.</summary>
    public required int Clients { get; init; }

    public required int Waiting { get; init; }

    public required int WaitingLogins { get; init; }

    /// <summary>Those who wait for nothing (PgBouncer's cl_active: idle ones too).</summary>
    public int ActiveClients => Math.Max(0, Clients - (Waiting - WaitingLogins));

    public int Active { get; private set; }

    public int Idle { get; private set; }

    /// <summary>Idle for longer than server_check_delay: to be checked before the next client.</summary>
    public int Used { get; private set; }

    public int Tested { get; private set; }

    public int Login { get; private set; }

    public int BeingCanceled { get; private set; }

    /// <summary>CancelRequests of clients: being seen through, not sent yet; and those under way to servers.</summary>
    public required int CancelsActive { get; init; }

    public required int CancelsWaiting { get; init; }

    public required int ServerCancels { get; init; }

    public int Servers => Active + Idle + Used + Tested + Login + BeingCanceled;

    /// <summary>Thread clock, microseconds, since when the oldest waits; 0 when none does.</summary>
    public required long OldestWait { get; init; }

    /// <summary>How long the oldest has waited by now, microseconds.</summary>
    public long LongestWait => OldestWait > 0 ? Math.Max(0, IoThread.Clock() - OldestWait) : 0;

    /// <summary>All pools, by database and user as PgBouncer lists them.</summary>
    public static List<PoolFacts> ReadAll(Pools pools)
    {
        List<PoolFacts> facts = [];
        pools.Read(all => facts.AddRange(all.GroupBy(static p => p.Front, Copy)));
        facts.Sort(static (a, b) => string.CompareOrdinal(a.Database, b.Database) is not 0 and int order ? order : string.CompareOrdinal(a.User, b.User));
        return facts;
    }

    /// <summary>With routing: each host's pool by itself.</summary>
    public static List<PoolFacts> ReadByHost(Pools pools)
    {
        List<PoolFacts> facts = [];
        pools.Read(all => facts.AddRange(all.Where(static p => p.Key.Host != null).Select(static p => Copy(p.Front, [p]) with { Host = p.Key.Host })));
        return facts;
    }

    /// <summary>With routing a pool and those of its hosts are one row.</summary>
    private static PoolFacts Copy(ServerPool front, IEnumerable<ServerPool> pools)
    {
        ServerPool[] all = [.. pools];
        var facts = new PoolFacts
        {
            Database = front.Key.Database,
            User = front.Key.User,
            Mode = front.Settings.Mode,
            Clients = front.Clients,
            Waiting = all.Sum(static p => p.Waiting),
            WaitingLogins = all.Sum(static p => p.WaitingLogins),
            CancelsActive = all.Sum(static p => p.Stats.Sum(static s => s.CancelsActive)),
            CancelsWaiting = all.Sum(static p => p.Stats.Sum(static s => s.CancelsWaiting)),
            ServerCancels = all.Sum(static p => p.Stats.Sum(static s => s.ServerCancels)),
            OldestWait = all.Select(static p => p.OldestWaiter?.Since ?? 0).Where(static t => t > 0).DefaultIfEmpty().Min(),
        };
        long now = IoThread.Clock();
        foreach (ServerSlot slot in all.SelectMany(static p => p.Slots))
        {
            switch (slot.State)
            {
                case SlotState.Login:
                    facts.Login++;
                    break;
                case SlotState.Idle when slot.NeedsCheck(now):
                    facts.Used++;
                    break;
                case SlotState.Idle:
                    facts.Idle++;
                    break;
                case SlotState.Housekeeping:
                    facts.Tested++;
                    break;
                case SlotState.BeingCanceled:
                    facts.BeingCanceled++;
                    break;
                default:
                    facts.Active++;
                    break;
            }
        }

        return facts;
    }
}
