namespace Pooler.LoadGenerator.Commands;

/// <summary>A crowd that logs in and does nothing; at the end each client asks once, which shows that it is still served.</summary>
internal static class IdleCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        var requests = Requests.From(options);
        int count = options.Number("clients", 5000);
        long hold = options.Seconds("hold-seconds", 2);
        ProcessWatch? watch = ProcessWatch.From(options);
        options.EndOfOptions();

        var loop = new EventLoop();
        var recorder = new Recorder { IsMeasuring = true };
        List<QueryClient> clients = [.. Enumerable.Range(0, count).Select(_ => new QueryClient(loop, target, requests, recorder))];
        long before = watch?.ResidentKilobytes ?? 0, start = EventLoop.Now;
        loop.LogIn(clients, target);
        double loginSeconds = (EventLoop.Now - start) / 1e9;
        int connected = clients.Count(client => client.IsLoggedIn && client.IsOpen);
        watch?.Start();
        if (hold > 0)
        {
            loop.RunUntil(EventLoop.Now + hold);
        }
        else
        {
            Console.Error.WriteLine($"{connected} clients are idle");
            Console.In.ReadToEnd();
        }

        (double User, double System) used = watch?.Elapsed() ?? default;
        long idle = watch?.ResidentKilobytes ?? 0;
        start = EventLoop.Now;
        foreach (QueryClient client in clients.Where(client => client.IsOpen))
        {
            client.Ask();
        }

        loop.RunUntil(EventLoop.Now + target.LoginLimit, () => recorder.Outstanding == 0);
        Report report = new Report().Add("clients", count).Add("connected", connected).Add("answered", recorder.Latency.Count)
            .Add("login_seconds", loginSeconds).Add("answer_seconds", (EventLoop.Now - start) / 1e9)
            .Add("errors", loop.Errors).Add("first_error", loop.FirstError).Add(recorder.Latency);
        if (watch != null)
        {
            report.Add("rss_before_kb", before).Add("rss_idle_kb", idle)
                .Add("bytes_per_client", connected == 0 ? 0 : (idle - before) * 1024.0 / connected)
                .Add("idle_cpu_us", used.User + used.System).Add("rss_answered_kb", watch.ResidentKilobytes);
        }

        foreach (QueryClient client in clients)
        {
            client.Leave();
        }

        return report;
    }
}
