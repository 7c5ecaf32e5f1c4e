namespace Pooler.LoadGenerator.Commands;

/// <summary>A storm of logins: connect, log in, Terminate, close, and again.</summary>
internal static class LoginCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        int parallel = Math.Max(options.Number("clients", 8), 1), total = options.Number("logins", 2000);
        ProcessWatch? watch = ProcessWatch.From(options);
        options.EndOfOptions();

        var loop = new EventLoop();
        var storm = new Storm(total);
        List<Client> clients = [.. Enumerable.Range(0, Math.Min(parallel, total)).Select(_ => new Client(loop, target, storm))];
        watch?.Start();
        long start = EventLoop.Now;
        foreach (Client client in clients)
        {
            client.Next();
        }

        if (!loop.RunUntil(start + target.LoginLimit, () => loop.OpenClients == 0))
        {
            loop.Failed($"{loop.OpenClients} logins did not end in time");
        }

        double seconds = (EventLoop.Now - start) / 1e9, done = storm.Latency.Count;
        (double User, double System) used = watch?.Elapsed() ?? default;
        Report report = new Report().Add("clients", parallel).Add("logins", done).Add("seconds", seconds)
            .Add("logins_per_second", done / seconds).Add("errors", loop.Errors).Add("first_error", loop.FirstError).Add(storm.Latency);
        watch?.AddTo(report, used, done, "login");
        return report;
    }

    private sealed class Storm(int total)
    {
        private int _begun;

        public Histogram Latency { get; } = new();

        public bool TakeNext() => _begun < total && ++_begun <= total;
    }

    private sealed class Client(EventLoop loop, LoadTarget target, Storm storm) : WireClient(loop, target)
    {
        private long _startedAt;

        public void Next()
        {
            if (storm.TakeNext())
            {
                _startedAt = EventLoop.Now;
                Start();
            }
        }

        protected override void OnLoggedIn()
        {
            storm.Latency.Record(EventLoop.Now - _startedAt);
            Leave();
            Next();
        }

        protected override void OnReady(bool failed)
        {
        }

        // A refused client is not tried again: a storm of failures measures nothing.
        protected override void OnClosed()
        {
        }
    }
}
