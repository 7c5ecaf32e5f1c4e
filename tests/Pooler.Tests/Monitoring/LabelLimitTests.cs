using Pooler.Monitoring;
using Xunit;

namespace Pooler.Tests.Monitoring;

public sealed class LabelLimitTests
{
    private static readonly MetricFamily Counter = new("c", MetricKind.Counter, "", "", ["a", "b"], static _ => []);

    [Fact]
    public void WhatIsBeyondTheBoundIsOneSample()
    {
        List<Sample> bounded = new LabelLimit().Apply(Counter, Enumerable.Range(0, LabelLimit.Most + 7).Select(static i => Sample.Of(2, $"{i}", "x")));
        Assert.Equal(LabelLimit.Most + 1, bounded.Count);
        Assert.Equal([LabelLimit.Other, LabelLimit.Other], bounded[^1].Labels);
        Assert.Equal(14, bounded[^1].Value);
    }

    [Fact]
    public void TheGreatestStandsForTimesThatCannotBeAdded()
    {
        List<Sample> bounded = new LabelLimit().Apply(Counter with { IsMaximum = true }, Enumerable.Range(0, LabelLimit.Most + 7).Select(static i => Sample.Of(i, $"{i}", "x")));
        Assert.Equal(LabelLimit.Most + 6, bounded[^1].Value);
    }

    /// <summary>A counter that went into the rest would seem to fall.</summary>
    [Fact]
    public void WhoWasThereStays()
    {
        var limit = new LabelLimit();
        limit.Apply(Counter, Enumerable.Range(1000, LabelLimit.Most + 1).Select(static i => Sample.Of(1, $"{i}", "x")));
        List<Sample> bounded = limit.Apply(Counter, Enumerable.Range(0, 1000 + LabelLimit.Most + 1).Select(static i => Sample.Of(1, $"{i}", "x")));
        Assert.Contains(bounded, static s => s.Labels[0] == "1000");
        Assert.DoesNotContain(bounded, static s => s.Labels[0] == "0");
        Assert.Equal(1001, bounded[^1].Value);
    }
}
