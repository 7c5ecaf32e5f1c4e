namespace Pooler.LoadGenerator.Commands;

/// <summary>
/// A pooler that deals its clients out to two I/O threads in turn gets many on one thread and few on the other: both groups
/// should be served alike.
/// </summary>
internal static class SplitCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        var run = new QueryRun(options, target);
        int count = options.Number("clients", 190), fewCount = options.Number("others", 10);
        options.EndOfOptions();

        Recorder many = new(), few = new();
        List<QueryClient> even = run.NewClients(count, many), odd = run.NewClients(count, few);

        // One login at a time keeps the order of the accepts.
        for (int i = 0; i < count; i++)
        {
            run.Loop.LogInOrThrow([even[i]], target);
            run.Loop.LogInOrThrow([odd[i]], target);
        }

        foreach (QueryClient client in odd.Skip(fewCount))
        {
            client.Leave();
        }

        Report report = run.Measure([.. even, .. odd.Take(fewCount)], [many, few]);
        return report.Add("many", count).Add("many_transactions", many.Latency.Count).Add(many.Latency, "many_")
            .Add("few", fewCount).Add("few_transactions", few.Latency.Count).Add(few.Latency, "few_");
    }
}
