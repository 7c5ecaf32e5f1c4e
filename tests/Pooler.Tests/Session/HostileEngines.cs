using System.Collections.Concurrent;
using Pooler.Net;
using Pooler.Tests.Net;

namespace Pooler.Tests.Session;

/// <summary>One hostile engine per I/O thread of a rig, all decided by one seed.</summary>
internal sealed class HostileEngines(int seed, bool sendsAtOnce, bool isFatal)
{
    private readonly ConcurrentDictionary<Engine, HostileRing> _rings = new();
    private int _made;

    /// <summary>The seed given by POOLER_TEST_SEED, to play it again, or any.</summary>
    public static int NextSeed() =>
        int.TryParse(Environment.GetEnvironmentVariable("POOLER_TEST_SEED"), out int given) ? given : Random.Shared.Next(1_000_000_000);

    public Engine Create()
    {
        var hostility = new Hostility(seed + Interlocked.Increment(ref _made), isFatal);
        if (sendsAtOnce)
        {
            return new HostileEpoll(hostility);
        }

        var ring = new HostileRing(hostility, PoolerRig.Defect);
        var engine = new UringEngine(ring);
        _rings[engine] = ring;
        return engine;
    }

    /// <summary>Operations a thread's kernel has under way, on the thread itself; 0 without a ring.</summary>
    public int Running(IoThread thread) => _rings.TryGetValue(thread.Engine, out HostileRing? ring) ? ring.Running : 0;
}
