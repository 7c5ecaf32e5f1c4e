using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Cluster;

/// <summary>The hosts of one database entry with <c>routing</c>: a monitor for each, and what they have found as one snapshot.</summary>
internal sealed class HostCluster : IAsyncDisposable
{
    // Microseconds between two questions: while work is held for want of a host, and while samples are wanted; how long these go on
    // after the last was wanted, so that the next finds them running.
    private const long HeldPeriod = 20_000, SamplePeriod = 25_000, SampleGrace = 200_000;

    private volatile ClusterConfig _config;
    private readonly ClusterFile _file;
    private readonly ClusterJournal _journal;
    private readonly Action<HostCluster, ClusterState, ClusterState> _changed;
    private readonly CancellationTokenSource _end = new();
    private readonly ImmutableArray<HostMonitor> _monitors;
    private readonly Task _running;
    private ClusterState _state;
    private long _wantedAfter = long.MinValue / 2, _heldUntil;

    /// <param name="changed">Told, on any thread, when requests have to go other ways: this, what was known before, what is now.</param>
    public HostCluster(
        ClusterConfig config, ClusterFile file, HostNames names, ServerPasswords passwords, ILogger log, Action<HostCluster, ClusterState, ClusterState> changed)
    {
        _config = config;
        _file = file;
        _journal = new ClusterJournal(config.Name, log);
        _changed = changed;
        ClusterMemory? known = file.Find(config.Name);
        _state = ClusterState.Of(config.Hosts) with
        {
            SystemIdentifier = known?.SystemIdentifier,
            Timeline = known?.Timeline ?? 0,
        };
        _state = _state.Under(config, now: 0);
        Catalogue = new Catalogue(this, passwords, log);
        _monitors = [.. config.Hosts.Select((_, index) => new HostMonitor(this, index, names, passwords))];
        _running = Task.WhenAll([.. _monitors.Select(monitor => Task.Run(() => monitor.RunAsync(_end.Token))), Task.Run(() => Catalogue.KeepAsync(_end.Token))]);
    }

    /// <summary>What the names of its database mean.</summary>
    public Catalogue Catalogue { get; }

    /// <summary>What is known now; read by any thread.</summary>
    public ClusterState State => Volatile.Read(ref _state);

    /// <summary>Replaced by a RELOAD that leaves the probes as they are.</summary>
    public ClusterConfig Config
    {
        get => _config;
        set
        {
            _config = value;
            Update(state => state.Under(value, IoThread.Clock()));
            Catalogue.Changed();
        }
    }

    /// <summary>What clients are told whom no host could take for failover_hold_time.</summary>
    public ErrorFields Shortage
    {
        get
        {
            ClientError error = _config.Routing == RoutingRule.Replica ? SessionErrors.NoReplica : SessionErrors.NoPrimary;
            string hosts = string.Join("; ", State.Hosts.Select(static host => host.Describe()));
            return error.Because($"{hosts}.", _config.FailoverHoldPlace, _config.Name);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _end.Dispose();
        foreach (HostMonitor monitor in _monitors)
        {
            monitor.Dispose();
        }
    }

    /// <summary>
    /// Somebody will need to know where the WAL is, of primary and replicas, as asked for after this time (microseconds of
    /// <see cref="IoThread.Clock"/>). From any thread, and nearly free while sampling runs already.
    /// </summary>
    public void WantSample(long after)
    {
        long wanted = Volatile.Read(ref _wantedAfter);
        while (after > wanted)
        {
            long seen = Interlocked.CompareExchange(ref _wantedAfter, after, wanted);
            if (seen == wanted)
            {
                WakeDozing();
                return;
            }

            wanted = seen;
        }
    }

    /// <summary>Work is held for want of a host that may take it, since now: every host is looked at in short order.</summary>
    public void WantHost(long now)
    {
        long until = now + (long)_config.FailoverHoldTime.TotalMicroseconds;
        if (until > Volatile.Read(ref _heldUntil))
        {
            Interlocked.Exchange(ref _heldUntil, until); // The later of two at once may be lost, by nothing that matters.
            WakeDozing();
        }
    }

    /// <summary>Writes are held until this host is the primary. False if a switchover is under way already. Any thread.</summary>
    public bool BeginSwitchover(int host)
    {
        bool isFirst = false;
        Update(state =>
        {
            isFirst = state.Successor == null;
            return isFirst ? state.SwitchingTo(host, IoThread.Clock()) : state;
        });
        return isFirst;
    }

    /// <summary>It did not come about: the primary is written to again, if it takes writes. Any thread.</summary>
    public void EndSwitchover() => Update(static state => state.SwitchingTo(null, IoThread.Clock()));

    /// <summary>A host has ended a server's connection, or would not open it (<paramref name="isOpening"/>): it is looked at now. Any thread.</summary>
    public void ServerLost(HostAddress host, string problem, bool isOpening)
    {
        int index = _config.Hosts.IndexOf(host);
        if (index < 0)
        {
            return;
        }

        if (isOpening)
        {
            Update(state => state.ServerFailed(index, problem, IoThread.Clock()));
        }

        _monitors[index].Wake();
    }

    /// <summary>A server of the host was opened. Any thread.</summary>
    public void ServerOpened(HostAddress host)
    {
        int index = _config.Hosts.IndexOf(host);
        if (index >= 0 && State.Hosts[index].Health is { Failures: > 0 } or { State: HealthState.HalfOpen })
        {
            Update(state => state.ServerOpened(index, IoThread.Clock()));
        }
    }

    /// <summary>From one question to the next, microseconds.</summary>
    internal long PeriodOf(int index, out bool isLong)
    {
        long now = IoThread.Clock(), wanted = Volatile.Read(ref _wantedAfter);
        ClusterState state = State;
        HostState host = state.Hosts[index];
        isLong = false;
        if (now < Volatile.Read(ref _heldUntil) && !state.IsServing(_config))
        {
            return HeldPeriod;
        }

        if (!host.IsRefusing && (now < wanted + SampleGrace || (host.IsUp && host.AskedAt <= wanted)))
        {
            return SamplePeriod;
        }

        isLong = true;
        long period = (long)_config.HealthCheckInterval.TotalMicroseconds;
        return host.Health.State == HealthState.Ejected ? Math.Clamp(host.Health.NextTry - now, 0, period) : period;
    }

    internal void Answered(int index, HostAnswer answer, bool isTrial)
    {
        long now = IoThread.Clock();
        Update(state => state.Answered(index, answer.Facts, now, answer.Latency, answer.AskedAt, isTrial));
    }

    internal void Failed(int index, string problem) => Update(state => state.Failed(index, problem, IoThread.Clock()));

    internal void Refused(int index, string problem) => Update(state => state.Refused(index, problem, IoThread.Clock()));

    private void WakeDozing()
    {
        foreach (HostMonitor monitor in _monitors)
        {
            if (monitor.IsDozing)
            {
                monitor.Wake();
            }
        }
    }

    /// <summary>Monitors of several hosts report at once: whoever comes second builds on what the first has made.</summary>
    private void Update(Func<ClusterState, ClusterState> next)
    {
        ClusterState before, after;
        do
        {
            before = State;
            after = next(before).Spared(_config, IoThread.Clock());
        }
        while (!ReferenceEquals(Interlocked.CompareExchange(ref _state, after, before), before));

        _journal.Tell(before, after);
        if (!after.RoutesAs(before, _config))
        {
            _changed(this, before, after);
        }

        if (after.Primary != null && (after.Epoch != before.Epoch || before.Primary == null))
        {
            _file.Remember(_config.Name, new ClusterMemory(after.SystemIdentifier!, after.Timeline));
        }
    }
}
