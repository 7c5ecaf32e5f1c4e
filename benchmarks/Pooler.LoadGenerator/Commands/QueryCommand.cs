namespace Pooler.LoadGenerator.Commands;

/// <summary>Clients that ask one statement after the other.</summary>
internal static class QueryCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        var run = new QueryRun(options, target);
        int count = options.Number("clients", 16);
        options.EndOfOptions();

        var recorder = new Recorder();
        List<QueryClient> clients = run.NewClients(count, recorder);
        run.Loop.LogInOrThrow(clients, target);
        return run.Measure(clients, [recorder]).Add("clients", count).Add(recorder.Latency);
    }
}
