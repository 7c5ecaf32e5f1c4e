using System.Diagnostics;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>The exporter of spans, which says in the log when it gets rid of them no more, and when it does again.</summary>
internal sealed class TraceSender(OtlpExporterOptions options, ILogger log) : OtlpTraceExporter(options)
{
    private readonly Uri _endpoint = options.Endpoint;
    private bool _hasFailed;

    public override ExportResult Export(in Batch<Activity> activityBatch)
    {
        long count = activityBatch.Count;
        ExportResult result = base.Export(activityBatch);
        if (result == ExportResult.Failure && !_hasFailed)
        {
            string text = $"traces: {_endpoint} does not take {count} spans; they are lost, and so are those that follow until it takes them (otlp_endpoint)";
            log.Warn(text);
        }
        else if (result == ExportResult.Success && _hasFailed)
        {
            string text = $"traces: {_endpoint} takes spans again";
            log.Note(text);
        }

        _hasFailed = result == ExportResult.Failure;
        return result;
    }
}
