using Pooler.Telemetry;
using Xunit;

namespace Pooler.Tests.Monitoring;

public sealed class HistogramTests
{
    /// <summary>Each bucket has what is at most its bound and more than the one before.</summary>
    [Fact]
    public void EveryTimeIsInItsBucket()
    {
        for (int bucket = 0; bucket <= Histogram.Bounds.Length; bucket++)
        {
            long most = bucket < Histogram.Bounds.Length ? Histogram.Bounds[bucket] : long.MaxValue, least = bucket == 0 ? 0 : Histogram.Bounds[bucket - 1] + 1;
            foreach (long time in (long[])[least, least + ((most - least) / 2), most])
            {
                var histogram = new Histogram();
                histogram.Record(time);
                Assert.True(histogram.CountAt(bucket) == 1, $"{time} µs are not in bucket {bucket}");
                Assert.Equal((1, time), (histogram.Count, histogram.Sum));
            }
        }
    }

    [Fact]
    public void AClockThatStoodStillCountsAsNothing()
    {
        var histogram = new Histogram();
        histogram.Record(-3);
        Assert.Equal((1, 0), (histogram.CountAt(0), histogram.Sum));
    }

    [Fact]
    public void SumsHaveAllParts()
    {
        Histogram[] parts = [new(), new()];
        parts[0].Record(10);
        parts[1].Record(10);
        parts[1].Record(70_000_000);
        Histogram sum = Histogram.SumOf(parts);
        Assert.Equal((2, 1, 70_000_020), (sum.CountAt(0), sum.CountAt(Histogram.Bounds.Length), sum.Sum));
    }
}
