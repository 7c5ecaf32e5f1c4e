using Pooler.Config;
using Pooler.Pooling;

namespace Pooler.Admin;

/// <summary>What SHOW tells of one pool, copied under the pools' lock.</summary>
internal sealed record PoolFacts
{
    public required string Database { get; init; }

    public required string User { get; init; }

    public required PoolMode Mode { get; init; }

    /// <summary>Logged-in clients, and of all who wait for a server those logging in.</summary>
    public required int Clients { get; init; }

    public required int Waiting { get; init; }

    public required int WaitingLogins { get; init; }

    public int Active { get; private set; }

    public int Idle { get; private set; }

    public int Tested { get; private set; }

    public int Login { get; private set; }

    public int BeingCanceled { get; private set; }

    /// <summary>CancelRequests of clients: being seen through, not sent yet; and those under way to servers.</summary>
    public required int CancelsActive { get; init; }

    public required int CancelsWaiting { get; init; }

    public required int ServerCancels { get; init; }

    public int Servers => Active + Idle + Tested + Login + BeingCanceled;

    /// <summary>Thread clock, microseconds, since when the oldest waits; 0 when none does.</summary>
    public required long OldestWait { get; init; }

    /// <summary>All pools, by database and user as PgBouncer lists them.</summary>
    public static List<PoolFacts> ReadAll(Pools pools)
    {
        List<PoolFacts> facts = [];
        pools.Read(all => facts.AddRange(all.Select(Copy)));
        facts.Sort(static (a, b) => string.CompareOrdinal(a.Database, b.Database) is not 0 and int order ? order : string.CompareOrdinal(a.User, b.User));
        return facts;
    }

    private static PoolFacts Copy(ServerPool pool)
    {
        var facts = new PoolFacts
        {
            Database = pool.Key.Database,
            User = pool.Key.User,
            Mode = pool.Settings.Mode,
            Clients = pool.Clients,
            Waiting = pool.Waiting,
            WaitingLogins = pool.WaitingLogins,
            CancelsActive = pool.Stats.Sum(static s => s.CancelsActive),
            CancelsWaiting = pool.Stats.Sum(static s => s.CancelsWaiting),
            ServerCancels = pool.Stats.Sum(static s => s.ServerCancels),
            OldestWait = pool.OldestWaiter?.Since ?? 0,
        };
        foreach (ServerSlot slot in pool.Slots)
        {
            switch (slot.State)
            {
                case SlotState.Login:
                    facts.Login++;
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
