namespace Pooler.LoadGenerator.Commands;

/// <summary>COPY streams at full speed.</summary>
internal static class CopyCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        string direction = options.Text("direction", "out"), table = options.Text("table", "load_copy");
        int count = options.Number("clients", 1), rowBytes = options.Number("row-bytes", 100);
        long warmup = options.Seconds("warmup", 0.5), duration = options.Seconds("seconds", 3);
        ProcessWatch? watch = ProcessWatch.From(options);
        options.EndOfOptions();
        if (direction is not ("in" or "out"))
        {
            throw new LoadException($"--direction {direction}: out or in");
        }

        var loop = new EventLoop();
        CopyClient[] clients =
        [
            .. Enumerable.Range(0, count).Select(_ =>
                direction == "out" ? CopyClient.Out(loop, target, rowBytes) : CopyClient.In(loop, target, rowBytes, table)),
        ];
        loop.LogInOrThrow(clients, target);
        foreach (CopyClient client in clients)
        {
            client.Begin();
        }

        loop.RunUntil(EventLoop.Now + warmup);
        watch?.Start();
        ProcessWatch.Self.Start();
        long start = EventLoop.Now, before = clients.Sum(client => client.Bytes);
        loop.RunUntil(start + duration, () => loop.OpenClients == 0);
        double seconds = (EventLoop.Now - start) / 1e9, megabytes = (clients.Sum(client => client.Bytes) - before) / 1e6;
        (double User, double System) used = watch?.Elapsed() ?? default, own = ProcessWatch.Self.Elapsed();
        foreach (CopyClient client in clients)
        {
            client.End();
        }

        if (!loop.RunUntil(EventLoop.Now + target.LoginLimit, () => clients.All(client => client.IsDone)))
        {
            loop.Failed("a COPY did not end");
        }

        foreach (CopyClient client in clients)
        {
            client.Leave();
        }

        Report report = new Report().Add("direction", direction).Add("clients", count).Add("seconds", seconds)
            .Add("megabytes", megabytes).Add("megabytes_per_second", megabytes / seconds)
            .Add("errors", loop.Errors).Add("first_error", loop.FirstError)
            .Add("load_cpu_us_per_mb", megabytes == 0 ? 0 : (own.User + own.System) / megabytes);
        watch?.AddTo(report, used, megabytes, "mb");
        return report;
    }
}
