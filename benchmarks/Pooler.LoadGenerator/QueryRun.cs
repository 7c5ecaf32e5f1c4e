namespace Pooler.LoadGenerator;

/// <summary>Groups of query clients over a warm-up and a measured part.</summary>
internal sealed class QueryRun
{
    // What a run for a number of transactions may take at most.
    private const long LongestRun = 600_000_000_000;

    private readonly int _rate;
    private readonly long _warmup, _duration, _transactions, _think;
    private readonly Requests _requests;
    private readonly LoadTarget _target;
    private readonly ProcessWatch? _watch;

    public QueryRun(Options options, LoadTarget target)
    {
        _target = target;
        _requests = Requests.From(options);
        _warmup = options.Seconds("warmup", 0.5);
        _duration = options.Seconds("seconds", 3);
        _transactions = options.Number("transactions", 0);
        _think = options.Number("think-ms", 0) * 1000L;
        _rate = options.Number("rate", 0);
        _watch = ProcessWatch.From(options);
    }

    public EventLoop Loop { get; } = new();

    public List<QueryClient> NewClients(int count, Recorder recorder)
    {
        Loop.Pacer = _rate > 0 ? new Pacer(_rate, recorder) : null;
        return [.. Enumerable.Range(0, count).Select(_ => new QueryClient(Loop, _target, _requests, recorder, _think, Loop.Pacer))];
    }

    /// <summary>Runs clients that are logged in, and has them leave. <paramref name="measuring"/> is told when the measured part begins and ends.</summary>
    public Report Measure(IReadOnlyList<QueryClient> clients, Recorder[] groups, Action<bool>? measuring = null)
    {
        foreach (Recorder group in groups)
        {
            group.IsRunning = true;
            group.Limit = _transactions > 0 ? _transactions : long.MaxValue;
        }

        if (Loop.Pacer != null)
        {
            Loop.Pacer.Begin(clients);
        }
        else
        {
            foreach (QueryClient client in clients)
            {
                client.Ask();
            }
        }

        Loop.RunUntil(EventLoop.Now + _warmup);
        foreach (Recorder group in groups)
        {
            group.IsMeasuring = true;
        }

        _watch?.Start();
        ProcessWatch.Self.Start();
        measuring?.Invoke(true);
        long start = EventLoop.Now;
        Loop.RunUntil(
            start + (_transactions > 0 ? LongestRun : _duration),
            () => Loop.OpenClients == 0 || !AnyMeasures(groups));
        double seconds = (EventLoop.Now - start) / 1e9;
        measuring?.Invoke(false);
        (double User, double System) used = _watch?.Elapsed() ?? default, own = ProcessWatch.Self.Elapsed();
        foreach (Recorder group in groups)
        {
            group.IsMeasuring = group.IsRunning = false;
        }

        Finish(clients, groups);
        double count = groups.Sum(group => group.Latency.Count);
        Report report = new Report().Add("seconds", seconds).Add("transactions", count).Add("tps", count / seconds)
            .Add("errors", Loop.Errors).Add("first_error", Loop.FirstError)
            .Add("load_cpu_us_per_tx", count == 0 ? 0 : (own.User + own.System) / count);
        _watch?.AddTo(report, used, count, "tx");
        return report;
    }

    private void Finish(IReadOnlyList<QueryClient> clients, Recorder[] groups)
    {
        if (!Loop.RunUntil(EventLoop.Now + _target.LoginLimit, () => groups.All(group => group.Outstanding == 0)))
        {
            Loop.Failed($"{groups.Sum(group => group.Outstanding)} answers did not come");
        }

        foreach (QueryClient client in clients)
        {
            client.Leave();
        }
    }

    // Asked every turn: no allocation.
    private static bool AnyMeasures(Recorder[] groups)
    {
        foreach (Recorder group in groups)
        {
            if (group.IsMeasuring)
            {
                return true;
            }
        }

        return false;
    }
}
