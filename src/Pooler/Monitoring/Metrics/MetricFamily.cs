using System.Collections.Immutable;

namespace Pooler.Monitoring;

/// <summary>
/// A row of the table of metrics: what /metrics, OTLP and docs/metrics.md know of it. Its name is OpenTelemetry's, with dots; Prometheus'
/// follows from it by OpenTelemetry's rules (unit and _total behind it).
/// </summary>
/// <param name="Unit">As OpenTelemetry writes it (UCUM): s, By, or empty.</param>
/// <param name="Read">The samples of the moment.</param>
internal sealed record MetricFamily(
    string Name, MetricKind Kind, string Unit, string Meaning, ImmutableArray<string> Labels, Func<Snapshot, IEnumerable<Sample>> Read)
{
    public string PrometheusName { get; } = NameFor(Name.Replace('.', '_'), Kind, Unit);

    /// <summary>What stands for the samples beyond <see cref="LabelLimit"/>: the greatest of them instead of their sum.</summary>
    public bool IsMaximum { get; init; }

    private static string NameFor(string name, MetricKind kind, string unit)
    {
        string suffix = unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
        name += name.EndsWith(suffix, StringComparison.Ordinal) ? "" : suffix;
        return kind == MetricKind.Counter ? name + "_total" : name;
    }
}
