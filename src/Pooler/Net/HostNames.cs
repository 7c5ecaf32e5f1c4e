using System.Collections.Immutable;
using System.Net;
using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Net;

/// <summary>
/// What the names of hosts stand for: asked of the system's resolver, on threads of its own, never an I/O thread, and kept for a while
/// (PgBouncer's src/dnslookup.c). A name is looked up once at a time, and few names at once; who asks waits dns_lookup_timeout at most.
/// The lock is short: nothing is asked, logged or called back under it.
/// </summary>
internal sealed class HostNames(LiveConfig live, ILogger log)
{
    private const int MostLookups = 8;

    // Settings of 0 do not make the refresh of names in use a busy loop.
    private const long LeastPause = 1_000_000;

    // A name that nobody has asked for so long is of an entry that is gone.
    private const long ForgetAfter = 3_600_000_000;

    private const string NoAnswer = "no answer within dns_lookup_timeout";

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, HostName> _names = new(StringComparer.Ordinal);
    private readonly Queue<HostName> _queue = [];
    private int _threads;

    /// <summary>Addresses of a name are gone: the name and what it stands for now. Called on any thread.</summary>
    public Action<string, ImmutableArray<IPAddress>>? Changed { get; set; }

    private PoolerConfig Config => live.Current;

    /// <summary>Any thread may ask; <paramref name="done"/> is called once, at once or later, on any thread.</summary>
    public void Ask(string name, Action<NameAnswer> done)
    {
        NameAnswer? answer;
        int threads = 0;
        lock (_lock)
        {
            long now = IoThread.Clock();
            HostName asked = Find(name, now);
            answer = now < asked.Until || IsLate(asked, now) ? NextAnswer(asked, now) : null;
            if (answer == null)
            {
                asked.Askers.Add(done);
                threads = Begin(asked, now);
            }
        }

        Start(threads);
        if (answer != null)
        {
            done(answer);
        }
    }

    /// <summary>What a name was last found to stand for; empty while nobody knows.</summary>
    public ImmutableArray<IPAddress> LastOf(string name)
    {
        lock (_lock)
        {
            return _names.TryGetValue(name, out HostName? known) ? known.Addresses : [];
        }
    }

    /// <summary>What is due by time alone: names in use are looked up again, a resolver that is silent for too long has failed.</summary>
    public void Maintain(IEnumerable<string> inUse)
    {
        int threads = 0;
        List<(Action<NameAnswer> Done, NameAnswer Answer)> late = [];
        List<string> problems = [];
        lock (_lock)
        {
            long now = IoThread.Clock();
            foreach (string name in inUse)
            {
                HostName used = Find(name, now);
                threads += now >= used.Until && now - used.AskedAt >= LeastPause ? Begin(used, now) : 0;
            }

            foreach (HostName name in _names.Values.ToArray())
            {
                if (IsLate(name, now) && (name.Askers.Count > 0 || name.Problem != NoAnswer))
                {
                    problems.Add(Fail(name, NoAnswer, now));
                    TakeAskers(name, now, late);
                }
                else if (!name.IsAsked && now - name.UsedAt > ForgetAfter)
                {
                    _names.Remove(name.Name);
                }
            }
        }

        Start(threads);
        problems.ForEach(log.Warn);
        late.ForEach(static asker => asker.Done(asker.Answer));
    }

    /// <summary>RECONNECT, RELOAD: every name is looked up again when it is next needed, or by and by if it is in use.</summary>
    public void Expire()
    {
        lock (_lock)
        {
            foreach (HostName name in _names.Values)
            {
                name.Until = 0;
            }
        }
    }

    /// <summary>Every name in order, with the seconds its answer is still good for.</summary>
    public List<(string Name, long Seconds, ImmutableArray<IPAddress> Addresses)> Read()
    {
        lock (_lock)
        {
            long now = IoThread.Clock();
            return [.. _names.Values.Select(name => (name.Name, Math.Max(0, name.Until - now) / 1_000_000, Usable(name, now)))];
        }
    }

    /// <summary>Lookups that run, and names that wait for one.</summary>
    public (int Running, int Queued) Lookups
    {
        get
        {
            lock (_lock)
            {
                return (_threads, _queue.Count);
            }
        }
    }

    private HostName Find(string name, long now)
    {
        if (!_names.TryGetValue(name, out HostName? found))
        {
            _names.Add(name, found = new HostName(name));
        }

        found.UsedAt = now;
        return found;
    }

    private bool IsLate(HostName name, long now)
    {
        long limit = (long)Config.Get(Settings.DnsLookupTimeout).TotalMicroseconds;
        return name.IsAsked && limit > 0 && now - name.AskedAt >= limit;
    }

    /// <summary>The addresses by turns, as PgBouncer hands them out: each asker begins with another.</summary>
    private NameAnswer NextAnswer(HostName name, long now)
    {
        ImmutableArray<IPAddress> addresses = Usable(name, now);
        if (addresses.IsEmpty)
        {
            return new NameAnswer([], name.Problem ?? NoAnswer);
        }

        int first = (int)(name.Turn++ % (uint)addresses.Length);
        return new NameAnswer([.. addresses[first..], .. addresses[..first]], null);
    }

    /// <summary>After a failure the last addresses stay good for dns_keep_time.</summary>
    private ImmutableArray<IPAddress> Usable(HostName name, long now) =>
        name.Problem != null && now - name.FoundAt > (long)Config.Get(Settings.DnsKeepTime).TotalMicroseconds ? [] : name.Addresses;

    /// <summary>The threads that are needed for it: one more, or none.</summary>
    private int Begin(HostName name, long now)
    {
        if (name.IsAsked)
        {
            return 0;
        }

        name.IsAsked = true;
        name.AskedAt = now;
        _queue.Enqueue(name);
        int threads = _threads < MostLookups ? 1 : 0;
        _threads += threads;
        return threads;
    }

    /// <summary>A lookup may take as long as it likes, so it has a thread of its own; starting one takes longer than an I/O thread may.</summary>
    private void Start(int threads)
    {
        for (; threads > 0; threads--)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static names => new Thread(names.Work) { Name = "dns", IsBackground = true }.Start(), this, preferLocal: false);
        }
    }

    private void Work()
    {
        while (TakeNext() is { } name)
        {
            LookUp(name);
        }
    }

    private HostName? TakeNext()
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out HostName? name))
            {
                return name;
            }

            _threads--;
            return null;
        }
    }

    private void LookUp(HostName name)
    {
        IoThread.MustNotBeHere();
        try
        {
            ImmutableArray<IPAddress> found = [.. Dns.GetHostAddresses(name.Name).Distinct()];
            Record(name, found, found.IsEmpty ? "it has no address" : null);
        }
        catch (Exception e) // Whatever it is, who waits must be answered.
        {
            Record(name, [], e.Message);
        }
    }

    private void Record(HostName name, ImmutableArray<IPAddress> found, string? problem)
    {
        List<(Action<NameAnswer> Done, NameAnswer Answer)> askers = [];
        string? said = null;
        NameAnswer? moved = null;
        lock (_lock)
        {
            long now = IoThread.Clock();
            name.IsAsked = false;
            if (problem != null)
            {
                bool isNews = name.Problem != problem;
                string text = Fail(name, problem, now);
                said = isNews ? text : null;
            }
            else
            {
                moved = name.Addresses.Except(found).Any() ? new NameAnswer(found, null) : null;
                (name.Addresses, name.Problem, name.FoundAt) = (found, null, now);
                name.Until = now + (long)Config.Get(Settings.DnsMaxTtl).TotalMicroseconds;
            }

            TakeAskers(name, now, askers);
        }

        if (said != null)
        {
            log.Warn(said);
        }

        if (moved != null)
        {
            log.NameHasMoved(name.Name, moved);
            Changed?.Invoke(name.Name, found);
        }

        askers.ForEach(static asker => asker.Done(asker.Answer));
    }

    /// <summary>What the log says of it.</summary>
    private string Fail(HostName name, string problem, long now)
    {
        name.Problem = problem;
        name.Until = now + (long)Config.Get(Settings.DnsNxDomainTtl).TotalMicroseconds;
        return $"DNS lookup failed: {name.Name}: {problem}" + (Usable(name, now).IsEmpty ? "" : "; its last addresses are used for dns_keep_time");
    }

    private void TakeAskers(HostName name, long now, List<(Action<NameAnswer> Done, NameAnswer Answer)> askers)
    {
        foreach (Action<NameAnswer> done in name.Askers)
        {
            askers.Add((done, NextAnswer(name, now)));
        }

        name.Askers.Clear();
    }

    /// <summary>One name; guarded by the lock. Times are of <see cref="IoThread.Clock"/>.</summary>
    private sealed class HostName(string name)
    {
        public string Name => name;

        public List<Action<NameAnswer>> Askers { get; } = [];

        /// <summary>As found last, however long ago.</summary>
        public ImmutableArray<IPAddress> Addresses { get; set; } = [];

        /// <summary>Why the last lookup failed.</summary>
        public string? Problem { get; set; }

        /// <summary>Its lookup runs, or waits for a thread.</summary>
        public bool IsAsked { get; set; }

        public long AskedAt { get; set; } = long.MinValue / 2;

        public long FoundAt { get; set; }

        /// <summary>Until then the answer is good, or the failure.</summary>
        public long Until { get; set; }

        public long UsedAt { get; set; }

        public uint Turn { get; set; }
    }
}

/// <summary>What a name stands for, first the address whose turn it is; or none, and why.</summary>
internal sealed record NameAnswer(ImmutableArray<IPAddress> Addresses, string? Problem)
{
    /// <summary>To whoever no longer waits for one.</summary>
    public static NameAnswer GivenUp { get; } = new([], "given up");

    /// <summary>As on the console and in the log.</summary>
    public override string ToString() => string.Join(',', Addresses);
}
