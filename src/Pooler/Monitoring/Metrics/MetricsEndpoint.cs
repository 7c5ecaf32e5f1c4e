using Microsoft.AspNetCore.Http;
using Pooler.Admin;

namespace Pooler.Monitoring;

/// <summary>/metrics: every family of the table, for Prometheus.</summary>
internal sealed class MetricsEndpoint(AdminConsole console) : HttpEndpoint("/metrics")
{
    private readonly Lock _lock = new();
    private readonly LabelLimit _limit = new();

    internal override Task AnswerAsync(HttpContext context, CancellationToken ended) =>
        SendAsync(context, StatusCodes.Status200OK, PrometheusText.ContentType, Render(), ended);

    /// <summary>The page. One scrape at a time: two would only read the same twice.</summary>
    public byte[] Render()
    {
        lock (_lock)
        {
            var snapshot = new Snapshot(console);
            var text = new PrometheusText();
            foreach (MetricFamily family in MetricTable.All)
            {
                text.Write(family, _limit.Apply(family, family.Read(snapshot)));
            }

            return text.ToBytes();
        }
    }
}
