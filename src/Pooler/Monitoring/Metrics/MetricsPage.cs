using System.Text;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Renders docs/metrics.md from the table; a test holds that the committed page is this one.</summary>
internal static class MetricsPage
{
    private const string Introduction = """
        # Metrics

        This page is generated from the table in `src/Pooler/Monitoring`.

        `http://127.0.0.1:9127/metrics` (`http_listen_addr`, `http_listen_port`; 0 = off) has them in Prometheus' text format. With
        `otlp_endpoint` they are sent by OTLP, too, each `otlp_interval`, under the names in the last column.

        - What begins with `pgbouncer_` has the names, labels and units of prometheus-community's pgbouncer_exporter, so its boards and
          alerts work as they are; the port is the exporter's.
        - Times are seconds, counters begin with the process. `host` is host:port, or unix:port. With `share_pools` times of servers are
          under the entry that has the pools. A database that is forgotten (`autodb_idle_timeout`, `pool_idle_timeout`) takes its figures with it.
        - A family has at most {0} label sets, a histogram {1}; what comes later is one under `other`: names come from clients, and every
          series costs memory where it is stored.
        - `cause` is one of: {2}.
        - Buckets of histograms end at {3} seconds.

        """;

    public static string Render()
    {
        StringBuilder page = new();
        string causes = string.Join(", ", Pooling.CloseCause.All.Select(static c => $"`{c}`"));
        string bounds = string.Join(", ", Histogram.Bounds.Select(PrometheusText.BoundText));
        page.AppendFormat(System.Globalization.CultureInfo.InvariantCulture, Introduction.ReplaceLineEndings("\n"), LabelLimit.Most, LabelLimit.MostHistograms, causes, bounds);
        page.Append("\n| Metric | Type | Unit | Labels | Meaning | OTLP |\n|---|---|---|---|---|---|\n");
        foreach (MetricFamily family in MetricTable.All)
        {
            string labels = string.Join(", ", family.Labels.Select(static l => $"`{l}`"));
            page.Append($"| `{family.PrometheusName}` | {PrometheusText.Word(family.Kind)} | {UnitText(family.Unit)} | {labels} | {family.Meaning} | `{family.Name}` |\n");
        }

        return page.ToString();
    }

    private static string UnitText(string unit) => unit switch { "s" => "seconds", "By" => "bytes", _ => "" };
}
