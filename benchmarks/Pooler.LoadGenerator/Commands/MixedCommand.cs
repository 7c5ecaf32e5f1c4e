namespace Pooler.LoadGenerator.Commands;

/// <summary>How long short statements take beside endless streams.</summary>
internal static class MixedCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        var run = new QueryRun(options, target);
        int count = options.Number("clients", 16), streamCount = options.Number("streams", 4), rowBytes = options.Number("row-bytes", 1000);
        options.EndOfOptions();

        var streams = new CopyStreams(target, streamCount, rowBytes);
        var recorder = new Recorder();
        List<QueryClient> clients = run.NewClients(count, recorder);
        run.Loop.LogInOrThrow(clients, target);
        streams.Start();
        try
        {
            Report report = run.Measure(clients, [recorder], streams.Measure);
            return report.Add("clients", count).Add(recorder.Latency).Add("streams", streamCount)
                .Add("stream_megabytes_per_second", streams.MegabytesPerSecond)
                .Add("stream_errors", streams.Errors).Add("stream_first_error", streams.FirstError);
        }
        finally
        {
            streams.Stop();
        }
    }
}
