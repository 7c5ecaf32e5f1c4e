using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Writes families in Prometheus' text format 0.0.4.</summary>
internal sealed class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private static readonly SearchValues<char> s_special = SearchValues.Create("\\\"\n");
    private static readonly ImmutableArray<string> s_bounds = [.. Histogram.Bounds.Select(BoundText), "+Inf"];

    private readonly StringBuilder _text = new();

    public void Write(MetricFamily family, List<Sample> samples)
    {
        if (samples.Count == 0)
        {
            return;
        }

        _text.Append($"# HELP {family.PrometheusName} {family.Meaning.Replace("\\", "\\\\", StringComparison.Ordinal)}\n");
        _text.Append($"# TYPE {family.PrometheusName} {Word(family.Kind)}\n");
        foreach (Sample sample in samples)
        {
            string labels = LabelsOf(family, sample);
            if (sample.Times is { } times)
            {
                WriteHistogram(family.PrometheusName, labels, times);
            }
            else
            {
                WriteLine(family.PrometheusName, labels, sample.Value);
            }
        }
    }

    public byte[] ToBytes() => Encoding.UTF8.GetBytes(_text.ToString());

    /// <summary>A bound of a histogram in seconds.</summary>
    public static string BoundText(long microseconds) => (microseconds / 1e6).ToString("0.######", CultureInfo.InvariantCulture);

    public static string Word(MetricKind kind) => kind switch
    {
        MetricKind.Counter => "counter",
        MetricKind.Gauge => "gauge",
        _ => "histogram",
    };

    private void WriteHistogram(string name, string labels, Histogram times)
    {
        string comma = labels.Length > 0 ? "," : "";
        long count = 0;
        for (int i = 0; i < s_bounds.Length; i++)
        {
            count += times.CountAt(i);
            WriteLine(name + "_bucket", $"{labels}{comma}le=\"{s_bounds[i]}\"", count);
        }

        WriteLine(name + "_sum", labels, times.Sum / 1e6);
        WriteLine(name + "_count", labels, count);
    }

    private void WriteLine(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
        {
            _text.Append('{').Append(labels).Append('}');
        }

        _text.Append(' ').Append(Text(value)).Append('\n');
    }

    private static string LabelsOf(MetricFamily family, Sample sample) =>
        string.Join(',', family.Labels.Select((label, i) => $"{label}=\"{Escape(sample.Labels[i])}\""));

    private static string Escape(string value) => value.AsSpan().IndexOfAny(s_special) < 0 ? value
        : value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
