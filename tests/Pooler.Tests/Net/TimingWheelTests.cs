using CsCheck;
using Pooler.Net;
using Xunit;

namespace Pooler.Tests.Net;

/// <summary>Never early, at most one tick late, each deadline once, whatever is set, moved or cleared in between and in Expired.</summary>
public sealed class TimingWheelTests
{
    private const long Tick = 10_000;

    private readonly TimingWheel _wheel = new();
    private long _now = 1_234_567_890_123;

    public TimingWheelTests() => _wheel.Turn(_now);

    [Fact]
    public void ExpiresOnceNeverEarlyAndAtMostOneTickLate()
    {
        foreach (long delay in new long[] { 0, 1, 9_999, 10_000, 10_001, 123_456, 10_230_000, 10_240_000, 10_250_000, 33_333_333, 120_000_000 })
        {
            long due = _now + delay;
            var timer = new Probe(this);
            _wheel.Set(timer, due);
            AdvanceUntil(timer, step: 1_000);
            Assert.InRange(_now, due, Math.Max(due, _now - delay) + Tick + 1_000);
            Assert.Equal(1, timer.Count);
            Assert.False(timer.IsSet);
        }

        Assert.Equal(-1, _wheel.Timeout(_now));
    }

    /// <summary>As the loop does it: sleep as long as the wheel says, then turn.</summary>
    [Fact]
    public void SleepingAsLongAsItSaysIsEnoughAndNotTooOften() =>
        Gen.Long[0, 30_000_000].Array[1, 20].Sample(
            delays =>
            {
                var wheel = new TimingWheelTests();
                Probe[] timers = [.. delays.Select(d => new Probe(wheel))];
                long[] due = [.. delays.Select(d => wheel._now + d)];
                for (int i = 0; i < timers.Length; i++)
                {
                    wheel._wheel.Set(timers[i], due[i]);
                }

                int turns = 0;
                for (int sleep; (sleep = wheel._wheel.Timeout(wheel._now)) >= 0; turns++)
                {
                    wheel._now += Math.Max(1, sleep * 1000L);
                    wheel._wheel.Turn(wheel._now);
                }

                Assert.All(timers.Zip(due), pair =>
                {
                    Assert.Equal(1, pair.First.Count);
                    Assert.InRange(pair.First.At, pair.Second, pair.Second + Tick + 1_000);
                });
                Assert.InRange(turns, 1, delays.Length * 6); // A far deadline is looked at once a turn of the wheel.
            },
            iter: 2_000,
            threads: 1);

    [Fact]
    public void AnyProgramOfSetMoveAndClear() =>
        Gen.Select(Gen.Int[0, 7], Gen.Int[0, 4], Gen.Long[-50_000, 25_000_000]).Array[1, 60].Sample(
            steps =>
            {
                var host = new TimingWheelTests();
                Probe[] timers = [.. Enumerable.Range(0, 8).Select(_ => new Probe(host))];
                long[] due = [.. Enumerable.Repeat(WheelTimer.Never, 8)];
                foreach ((int which, int what, long amount) in steps)
                {
                    switch (what)
                    {
                        case 0:
                            host._wheel.Clear(timers[which]);
                            due[which] = WheelTimer.Never;
                            break;
                        case 1:
                            host._now += Math.Max(0, amount);
                            host.TurnAndCheck(timers, due);
                            break;
                        case 2:
                            host._now += Math.Abs(amount) % 40_000;
                            host.TurnAndCheck(timers, due);
                            break;
                        default:
                            host._wheel.Set(timers[which], host._now + amount);
                            due[which] = host._now + Math.Max(0, amount); // What is due already comes with the next tick.
                            break;
                    }

                    Assert.All(timers.Zip(due), pair => Assert.Equal(pair.Second != WheelTimer.Never, pair.First.IsSet));
                }
            },
            iter: 5_000,
            threads: 1);

    [Fact]
    public void ATimerMaySetItselfAgainWhileItExpires()
    {
        var timer = new Probe(this);
        timer.Then = () => _wheel.Set(timer, _now + 50_000);
        _wheel.Set(timer, _now);
        for (int i = 0; i < 1000; i++)
        {
            Advance(1_000);
        }

        Assert.InRange(timer.Count, 16, 21);
    }

    /// <summary>Many in one slot: each expiry clears, moves or sets others of the same slot.</summary>
    [Fact]
    public void OthersOfTheSameSlotMayBeClearedMovedAndSetWhileOneExpires() =>
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 9], Gen.Int[0, 2]).Array[0, 10].Sample(
            acts =>
            {
                var host = new TimingWheelTests();
                Probe[] timers = [.. Enumerable.Range(0, 10).Select(_ => new Probe(host))];
                bool[] cleared = new bool[10];
                long due = host._now + 5_000;
                foreach ((int actor, int victim, int what) in acts)
                {
                    Action? before = timers[actor].Then;
                    timers[actor].Then = () =>
                    {
                        before?.Invoke();
                        timers[actor].Then = null;
                        if (what == 0)
                        {
                            host._wheel.Clear(timers[victim]);
                            cleared[victim] = true;
                        }
                        else
                        {
                            host._wheel.Set(timers[victim], host._now + (what == 1 ? 0 : 300_000));
                            cleared[victim] = false;
                        }
                    };
                }

                foreach (Probe timer in timers)
                {
                    host._wheel.Set(timer, due);
                }

                // Ten acts may each put another off by 300 ms, one behind the other.
                for (int i = 0; i < 400; i++)
                {
                    host.Advance(10_000);
                }

                Assert.All(timers.Zip(cleared), pair => Assert.True(pair.First.Count > 0 || pair.Second, "a deadline was lost"));
                Assert.All(timers, timer => Assert.InRange(timer.Count, 0, 11));
                Assert.All(timers, static timer => Assert.False(timer.IsSet));
                Assert.Equal(-1, host._wheel.Timeout(host._now));
            },
            iter: 5_000,
            threads: 1);

    [Fact]
    public void TwentyThousandTimers()
    {
        var random = new Random(20_000);
        Probe[] timers = [.. Enumerable.Range(0, 20_000).Select(_ => new Probe(this))];
        long[] due = new long[timers.Length];
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < timers.Length; i++)
            {
                due[i] = _now + random.NextInt64(20_000_000);
                _wheel.Set(timers[i], due[i]);
            }
        }

        for (int i = 0; i < timers.Length; i += 10)
        {
            _wheel.Clear(timers[i]);
            due[i] = WheelTimer.Never;
        }

        while (_wheel.Timeout(_now) is >= 0 and var sleep)
        {
            _now += Math.Max(1, sleep * 1000L);
            TurnAndCheck(timers, due);
        }

        Assert.All(due, static d => Assert.Equal(WheelTimer.Never, d));
    }

    /// <summary>A loop that stood still for longer than a turn of the wheel catches up.</summary>
    [Fact]
    public void ALongPauseLosesNothing()
    {
        Probe[] timers = [.. Enumerable.Range(1, 50).Select(_ => new Probe(this))];
        for (int i = 0; i < timers.Length; i++)
        {
            _wheel.Set(timers[i], _now + (i * 1_000_000L));
        }

        Advance(3_600_000_000);
        Assert.All(timers, static timer => Assert.Equal(1, timer.Count));
    }

    private void TurnAndCheck(Probe[] timers, long[] due)
    {
        int[] before = [.. timers.Select(static t => t.Count)];
        _wheel.Turn(_now);
        for (int i = 0; i < timers.Length; i++)
        {
            if (timers[i].Count > before[i])
            {
                Assert.Equal(before[i] + 1, timers[i].Count);
                Assert.True(due[i] <= _now, "early");
                due[i] = WheelTimer.Never;
            }
            else
            {
                Assert.True(due[i] > _now - Tick, "late");
            }
        }
    }

    private void Advance(long microseconds)
    {
        _now += microseconds;
        _wheel.Turn(_now);
    }

    private void AdvanceUntil(Probe timer, long step)
    {
        for (int before = timer.Count, i = 0; timer.Count == before && i < 1_000_000; i++)
        {
            Advance(step);
        }
    }

    private sealed class Probe(TimingWheelTests host) : WheelTimer
    {
        public int Count { get; private set; }

        public long At { get; private set; }

        public Action? Then { get; set; }

        internal override void Expired()
        {
            Assert.False(IsSet);
            Count++;
            At = host._now;
            Then?.Invoke();
        }
    }
}
