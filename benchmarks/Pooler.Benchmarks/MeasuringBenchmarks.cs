using BenchmarkDotNet.Attributes;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;

namespace Pooler.Benchmarks;

/// <summary>What metrics add to a transaction: everything that is measured of it, and the clock that is read for it.</summary>
public class MeasuringBenchmarks
{
    private readonly ServerTimes _times = new();
    private readonly PoolStats _stats = new();
    private long _now;
    private LeaseTimes _lease = new(new Connection(new IoThread(0), -1));

    [Benchmark]
    public int Transaction()
    {
        _stats.Waits.Record(0);
        _lease.Begin(_times);
        _lease.Sent();
        _lease.Replied();
        _lease.Answered();
        _lease.PassedOn();
        _lease.End();
        return (int)_times.Use.Sum;
    }

    [Benchmark]
    public int Clock()
    {
        _now = IoThread.Clock();
        return (int)_now;
    }

    [Benchmark]
    public int Record()
    {
        _times.Operation.Record(1234);
        return (int)_times.Operation.Sum;
    }
}
