using BenchmarkDotNet.Attributes;
using Pooler.Net;

namespace Pooler.Benchmarks;

/// <summary>The deadlines of a query: set, moved, cleared, now and then fired. 1,000 other timers are in the wheel.</summary>
public class TimingWheelBenchmarks
{
    private readonly TimingWheel _wheel = new();
    private readonly Timer _timer = new(), _firing = new();
    private long _now = 1_000_000;

    public TimingWheelBenchmarks()
    {
        for (int i = 0; i < 1000; i++)
        {
            _wheel.Set(new Timer(), _now + 3_600_000_000 + (i * 7_919));
        }
    }

    [Benchmark]
    public int SetAndClear()
    {
        _wheel.Set(_timer, _now + 5_000_000);
        _wheel.Clear(_timer);
        return _timer.Fired;
    }

    [Benchmark]
    public int MoveLater()
    {
        _wheel.Set(_timer, ++_now + 5_000_000);
        return _timer.Fired;
    }

    [Benchmark]
    public int Timeout() => _wheel.Timeout(_now);

    [Benchmark]
    public int SetAndFire()
    {
        _wheel.Set(_firing, _now + 5_000);
        _now += 20_000;
        _wheel.Turn(_now);
        return _firing.Fired;
    }

    private sealed class Timer : WheelTimer
    {
        public int Fired { get; private set; }

        internal override void Expired() => Fired++;
    }
}
