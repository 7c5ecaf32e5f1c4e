using System.Collections.Immutable;

namespace Pooler.Monitoring;

/// <summary>The one table of metrics. /metrics, OTLP and docs/metrics.md are made from it.</summary>
internal static class MetricTable
{
    public static ImmutableArray<MetricFamily> All { get; } =
        [.. PgBouncerMetrics.All, .. TimeMetrics.All, .. EventMetrics.All, .. HostMetrics.All, .. ProcessMetrics.All];
}
