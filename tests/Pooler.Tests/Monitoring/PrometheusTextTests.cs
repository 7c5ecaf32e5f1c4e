using System.Text;
using Pooler.Monitoring;
using Pooler.Telemetry;
using Xunit;

namespace Pooler.Tests.Monitoring;

public sealed class PrometheusTextTests
{
    private static readonly MetricFamily Family = new("pooler.test_time", MetricKind.Gauge, "s", "Meaning with a \\.", ["name", "other"], static _ => []);

    [Fact]
    public void LabelsAreEscaped() => Assert.Equal(
        "# HELP pooler_test_time_seconds Meaning with a \\\\.\n# TYPE pooler_test_time_seconds gauge\n" + """pooler_test_time_seconds{name="a\"b\\c\nd",other="é"} 0.25""" + "\n",
        Written(Family, Sample.Of(0.25, "a\"b\\c\nd", "é")));

    [Fact]
    public void NothingIsWrittenOfAFamilyWithoutSamples() => Assert.Equal("", Written(Family));

    [Theory]
    [InlineData("pooler.things", MetricKind.Counter, "", "pooler_things_total")]
    [InlineData("pooler.busy", MetricKind.Counter, "s", "pooler_busy_seconds_total")]
    [InlineData("pooler.lag_bytes", MetricKind.Gauge, "By", "pooler_lag_bytes")]
    [InlineData("db.client.operation.duration", MetricKind.Histogram, "s", "db_client_operation_duration_seconds")]
    internal void NamesFollowOpenTelemetrysRules(string name, MetricKind kind, string unit, string expected) =>
        Assert.Equal(expected, new MetricFamily(name, kind, unit, "", [], static _ => []).PrometheusName);

    [Fact]
    public void HistogramsAreCumulativeAndInSeconds()
    {
        var times = new Histogram();
        times.Record(20);
        times.Record(40);
        times.Record(61_000_000);
        string text = Written(new MetricFamily("t", MetricKind.Histogram, "s", "", ["a"], static _ => []), new Sample(["x"], 0, times));
        Assert.Contains("t_seconds_bucket{a=\"x\",le=\"0.000025\"} 1\nt_seconds_bucket{a=\"x\",le=\"0.00005\"} 2\n", text, StringComparison.Ordinal);
        Assert.EndsWith("t_seconds_bucket{a=\"x\",le=\"60\"} 2\nt_seconds_bucket{a=\"x\",le=\"+Inf\"} 3\nt_seconds_sum{a=\"x\"} 61.00006\nt_seconds_count{a=\"x\"} 3\n", text, StringComparison.Ordinal);
    }

    private static string Written(MetricFamily family, params List<Sample> samples)
    {
        var text = new PrometheusText();
        text.Write(family, samples);
        return Encoding.UTF8.GetString(text.ToBytes());
    }
}
