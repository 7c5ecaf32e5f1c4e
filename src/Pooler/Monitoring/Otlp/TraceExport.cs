using System.Diagnostics;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Pooler.Config;
using Pooler.Net;
using Pooler.Statements;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>
/// Makes spans of what the I/O threads have put into the <see cref="TraceQueue"/>, on the thread pool, and has OpenTelemetry send them to
/// otlp_endpoint. While tracing is off there is neither a listener nor a span.
/// </summary>
internal sealed class TraceExport(TraceQueue queue, string version, ILogger log)
{
    private const int PauseMilliseconds = 1000, StopMilliseconds = 2000;

    private static readonly ActivitySource Source = new("Pooler");

    private TracerProvider? _provider;
    private (string Endpoint, string? Headers)? _target;
    private Task? _run;
    private long _droppedBefore;

    /// <summary>At the start and at each RELOAD.</summary>
    public void Apply(PoolerConfig config)
    {
        (string, string?)? target = config.Get(Settings.TraceSampleRatio) > 0 && config.Get(Settings.OtlpEndpoint) is { } endpoint
            ? (endpoint, config.Get(Settings.OtlpHeaders)) : null;
        if (target == _target)
        {
            return;
        }

        _target = target;
        TracerProvider? old = Interlocked.Exchange(ref _provider, target is var (url, headers) ? Build(url, headers) : null);
        _ = Task.Run(() => End(old)); // What it still has is sent, which may take a while.
        _run ??= target == null ? null : Task.Run(RunAsync);
    }

    /// <summary>Sends what there is, if somebody takes it in time.</summary>
    public async Task StopAsync()
    {
        queue.Complete();
        await (_run ?? Task.CompletedTask);
        await Task.Run(() => End(Interlocked.Exchange(ref _provider, null)));
    }

    private static void End(TracerProvider? provider)
    {
        provider?.Shutdown(StopMilliseconds);
        provider?.Dispose();
    }

    private TracerProvider? Build(string endpoint, string? headers)
    {
        var options = new OtlpExporterOptions
        {
            Endpoint = new Uri(endpoint.TrimEnd('/') + "/v1/traces"),
            Protocol = OtlpExportProtocol.HttpProtobuf,
            Headers = headers,
        };
        return Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateEmpty().AddService("pooler", serviceVersion: version))
            .SetSampler(new AlwaysOnSampler()) // The session has decided already.
            .AddSource(Source.Name)
            .AddProcessor(new BatchActivityExportProcessor(new TraceSender(options, log), scheduledDelayMilliseconds: PauseMilliseconds))
            .Build();
    }

    private async Task RunAsync()
    {
        while (await queue.Reader.WaitToReadAsync())
        {
            while (queue.Reader.TryRead(out TraceRecord? record))
            {
                StatementSpan.Make(Source, record, DateTime.UtcNow, IoThread.Clock());
            }

            if (queue.Dropped > _droppedBefore)
            {
                string text = $"{queue.Dropped - _droppedBefore} traced statements were dropped: they came faster than spans could be made of them (trace_sample_ratio)";
                _droppedBefore = queue.Dropped;
                log.Warn(text);
            }
        }
    }
}
