using System.Collections.Immutable;
using Pooler.Admin;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>
/// The table as an ExportMetricsServiceRequest of OTLP 1 (opentelemetry-proto, metrics.proto). Written here and not by OpenTelemetry's SDK,
/// which takes histograms only time by time, on the data path: its observable instruments give none.
/// </summary>
internal static class OtlpMetrics
{
    private const ulong Cumulative = 2;

    private static readonly ulong[] s_bounds = [.. Histogram.Bounds.Select(static us => BitConverter.DoubleToUInt64Bits(us / 1e6))];

    public static ReadOnlyMemory<byte> Write(AdminConsole console, LabelLimit limit)
    {
        var snapshot = new Snapshot(console);
        ulong start = Nanoseconds(DateTime.UnixEpoch.AddSeconds(ProcessFacts.StartTime)), now = Nanoseconds(DateTime.UtcNow);
        var request = new ProtobufWriter();
        request.Message(1, resourceMetrics =>
        {
            resourceMetrics.Message(1, resource =>
            {
                Attribute(resource, 1, "service.name", "pooler");
                Attribute(resource, 1, "service.version", console.Version);
                Attribute(resource, 1, "service.instance.id", $"{Environment.MachineName}:{Environment.ProcessId}");
            });
            resourceMetrics.Message(2, scopeMetrics =>
            {
                scopeMetrics.Message(1, static scope => scope.Text(1, "pooler"));
                foreach (MetricFamily family in MetricTable.All)
                {
                    List<Sample> samples = limit.Apply(family, family.Read(snapshot));
                    if (samples.Count > 0)
                    {
                        scopeMetrics.Message(2, metric => WriteMetric(metric, family, samples, start, now));
                    }
                }
            });
        });
        return request.Written;
    }

    private static void WriteMetric(ProtobufWriter metric, MetricFamily family, List<Sample> samples, ulong start, ulong now)
    {
        metric.Text(1, family.Name);
        metric.Text(2, family.Meaning);
        metric.Text(3, family.Unit.Length > 0 ? family.Unit : "1");
        ImmutableArray<string> names = NamesOf(family);
        int field = family.Kind switch { MetricKind.Gauge => 5, MetricKind.Counter => 7, _ => 9 };
        metric.Message(field, data =>
        {
            foreach (Sample sample in samples)
            {
                data.Message(1, point => WritePoint(point, sample, names, start, now));
            }

            if (family.Kind != MetricKind.Gauge)
            {
                data.Number(2, Cumulative);
            }

            if (family.Kind == MetricKind.Counter)
            {
                data.Number(3, 1); // is_monotonic
            }
        });
    }

    private static void WritePoint(ProtobufWriter point, Sample sample, ImmutableArray<string> names, ulong start, ulong now)
    {
        point.Time(2, start);
        point.Time(3, now);
        if (sample.Times is { } times)
        {
            ulong[] counts = [.. Enumerable.Range(0, s_bounds.Length + 1).Select(bucket => (ulong)times.CountAt(bucket))];
            point.Time(4, counts.Aggregate(static (a, b) => a + b));
            point.Real(5, times.Sum / 1e6);
            point.Packed(6, counts);
            point.Packed(7, s_bounds);
        }
        else
        {
            point.Real(4, sample.Value);
        }

        for (int i = 0; i < names.Length; i++)
        {
            Attribute(point, sample.Times == null ? 7 : 9, names[i], sample.Labels[i]);
        }
    }

    /// <summary>Metrics of the conventions have their attributes, too.</summary>
    private static ImmutableArray<string> NamesOf(MetricFamily family) => !family.Name.StartsWith("db.", StringComparison.Ordinal) ? family.Labels
        : [.. family.Labels.Select(static label => label switch { "database" => "db.namespace", "user" => "db.user", "host" => "server.address", _ => label })];

    private static void Attribute(ProtobufWriter message, int field, string key, string value) => message.Message(field, pair =>
    {
        pair.Text(1, key);
        pair.Message(2, any => any.Text(1, value));
    });

    private static ulong Nanoseconds(DateTime time) => (ulong)(time - DateTime.UnixEpoch).Ticks * 100;
}
