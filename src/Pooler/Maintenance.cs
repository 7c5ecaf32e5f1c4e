using Pooler.Net;
using Pooler.Pooling;

namespace Pooler;

/// <summary>Duties by time alone, on I/O thread 0: the pools' (PgBouncer's janitor runs as often), names of hosts, and giving memory back.</summary>
internal sealed class Maintenance(Pools pools, HostNames names, IoThread[] threads) : WheelTimer
{
    private const long PeriodMicroseconds = 333_000;
    private const long QuietMicroseconds = 1_000_000;
    private const long GarbageBytes = 1024 * 1024;

    private readonly IoThread _thread = threads[0];
    private long _reads, _quietSince, _allocatedAtCollection;

    public void Arm() => _thread.Wheel.Set(this, _thread.Now + PeriodMicroseconds);

    internal override void Expired()
    {
        pools.Maintain(_thread.Now);
        names.Maintain(pools.NamesInUse());
        CollectWhenQuiet();
        Arm();
    }

    /// <summary>
    /// A login leaves about a kilobyte of garbage, a steady query none: after a storm of logins what is resident may be twice
    /// what lives. When nobody has sent anything for a second, a collection hurts nobody.
    /// </summary>
    private void CollectWhenQuiet()
    {
        long reads = threads.Sum(static t => t.Counters.Reads);
        if (reads != _reads)
        {
            _reads = reads;
            _quietSince = _thread.Now;
            return;
        }

        long allocated = GC.GetTotalAllocatedBytes();
        if (_thread.Now - _quietSince >= QuietMicroseconds && allocated - _allocatedAtCollection >= GarbageBytes)
        {
            _allocatedAtCollection = allocated;
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
    }
}
