using Pooler.Admin;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Monitoring;

/// <summary>What one scrape sees: each of the console's facts is read once, when the first family asks for it.</summary>
internal sealed class Snapshot(AdminConsole console)
{
    public AdminConsole Console => console;

    public long Now { get; } = IoThread.Clock();

    public List<PoolFacts> Pools => field ??= PoolFacts.ReadAll(console.Pools);

    public List<DatabaseStats> Stats => field ??= console.Stats.Now();

    public List<DatabaseFacts> Databases => field ??= DatabaseFacts.ReadAll(console);

    /// <summary>By user, database and host; of each I/O thread that has seen one.</summary>
    public List<HostTimes> Times => field ??= ReadTimes();

    /// <summary>Counters of every pool that clients belong to, by I/O thread.</summary>
    public List<(PoolKey Key, PoolStats[] Parts)> PoolStats => field ??= ReadPoolStats();

    public Dictionary<string, int> Lists => field ??= new(ShowLists.Read(console));

    /// <summary>Of all I/O threads.</summary>
    public long Sum(Func<IoCounters, long> which) => console.Threads.Sum(t => which(t.Counters));

    private List<HostTimes> ReadTimes()
    {
        List<(PoolKey Key, HostAddress Host, ServerTimes?[] Parts)> seen = [];
        console.Pools.Read(all =>
        {
            foreach (ServerPool pool in all)
            {
                seen.AddRange(pool.Times.Select(t => (pool.Key, t.Key, t.Value)));
            }
        });
        return [.. seen.Select(static t => new HostTimes(t.Key.Database, t.Key.User, $"{t.Host}", [.. t.Parts.OfType<ServerTimes>()]))];
    }

    private List<(PoolKey Key, PoolStats[] Parts)> ReadPoolStats()
    {
        List<(PoolKey, PoolStats[])> stats = [];
        console.Pools.Read(all => stats.AddRange(all.Where(static p => p.Key.Host == null).Select(static p => (p.Key, p.Stats))));
        return stats;
    }
}
