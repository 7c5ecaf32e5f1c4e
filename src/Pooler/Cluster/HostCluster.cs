using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Telemetry;

namespace Pooler.Cluster;

/// <summary>The hosts of one database entry with <c>routing</c>: a monitor for each, and what they have found as one snapshot.</summary>
internal sealed class HostCluster : IAsyncDisposable
{
    // Microseconds between two questions: while work is held for want of a host, and while samples are wanted; how long these go on
    // after the last was wanted, so that the next finds them running.
    private const long HeldPeriod = 20_000, SamplePeriod = 25_000, SampleGrace = 200_000;

    private volatile ClusterConfig _config;
    private readonly ILogger _log;
    private readonly Action<HostCluster, ClusterState, ClusterState> _changed;
    private readonly CancellationTokenSource _end = new();
    private readonly ImmutableArray<HostMonitor> _monitors;
    private readonly Task _running;
    private ClusterState _state;
    private long _wantedAfter = long.MinValue / 2, _heldUntil;

    /// <param name="changed">Told, on any thread, when requests have to go other ways: this, what was known before, what is now.</param>
    public HostCluster(ClusterConfig config, ILogger log, Action<HostCluster, ClusterState, ClusterState> changed)
    {
        _config = config;
        _log = log;
        _changed = changed;
        _state = ClusterState.Of(config.Hosts);
        Catalogue = new Catalogue(this, log);
        _monitors = [.. config.Hosts.Select((_, index) => new HostMonitor(this, index))];
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
            Catalogue.Changed();
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

    /// <summary>What clients are told whom no host could take for failover_hold_time.</summary>
    public ErrorFields Shortage
    {
        get
        {
            string missing = _config.Routing == RoutingRule.Replica ? "no replica is up and fresh enough" : "no host takes writes";
            return new ErrorFields("FATAL", "57P03", $"{missing}, for longer than failover_hold_time (database \"{_config.Name}\")", null,
                "SHOW HOSTS on the console tells what each host is.");
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

        if (now < wanted + SampleGrace || (host.IsUp && host.AskedAt <= wanted))
        {
            return SamplePeriod;
        }

        isLong = true;
        return (long)_config.HealthCheckInterval.TotalMicroseconds;
    }

    internal void Answered(int index, HostFacts facts, long asked)
    {
        long now = IoThread.Clock();
        Update(state => state.Answered(index, facts, now, now - asked));
    }

    internal void Failed(int index, string problem) => Update(state => state.Failed(index, problem, IoThread.Clock()));

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
            after = next(before);
        }
        while (Interlocked.CompareExchange(ref _state, after, before) != before);

        LogChanges(before, after);
        if (!after.RoutesAs(before, _config))
        {
            _changed(this, before, after);
        }
    }

    private void LogChanges(ClusterState before, ClusterState after)
    {
        for (int i = 0; i < after.Hosts.Length; i++)
        {
            HostState was = before.Hosts[i], host = after.Hosts[i];
            string name = $"{_config.Name}: {host.Address}", role = Word(host.Role);
            if (host.IsUp && (host.Role != was.Role || !was.IsUp))
            {
                _log.HostIs(name, role, host.Facts!.Timeline);
            }
            else if (!host.IsUp && (was.IsUp || was.SeenAt == 0))
            {
                _log.HostIsDown(name, host.Problem!);
            }
        }

        if (after.Rival is { } rival && before.Rival == null)
        {
            string name = $"{_config.Name}: {after.Hosts[rival].Address}";
            string present = after.Primary is { } primary ? $"{after.Hosts[primary].Address}" : "none";
            _log.TwoPrimaries(name, present);
        }
    }

    /// <summary>As SHOW HOSTS and the log say it.</summary>
    public static string Word(HostRole role) => role switch
    {
        HostRole.Primary => "primary",
        HostRole.Replica => "replica",
        HostRole.Rival => "rival",
        HostRole.Foreign => "foreign",
        _ => "unknown",
    };
}
