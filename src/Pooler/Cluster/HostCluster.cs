using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Cluster;

/// <summary>The hosts of one database entry with <c>routing</c>: a monitor for each, and what they have found as one snapshot.</summary>
internal sealed class HostCluster : IAsyncDisposable
{
    private volatile ClusterConfig _config;
    private readonly ILogger _log;
    private readonly Action<HostCluster, ClusterState, ClusterState> _changed;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _monitors;
    private ClusterState _state;

    /// <param name="changed">Told, on any thread, when requests have to go other ways: this, what was known before, what is now.</param>
    public HostCluster(ClusterConfig config, ILogger log, Action<HostCluster, ClusterState, ClusterState> changed)
    {
        _config = config;
        _log = log;
        _changed = changed;
        _state = ClusterState.Of(config.Hosts);
        Catalogue = new Catalogue(this, log);
        _monitors = Task.WhenAll([.. config.Hosts.Select((_, index) => Task.Run(() => MonitorAsync(index))), Task.Run(() => Catalogue.KeepAsync(_end.Token))]);
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
        await _monitors.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task MonitorAsync(int index)
    {
        await using var probe = new HostProbe(_config, _config.Hosts[index]);
        while (!_end.IsCancellationRequested)
        {
            await ProbeAsync(probe, index).ConfigureAwait(false);
            await Task.Delay(_config.HealthCheckInterval, _end.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ProbeAsync(HostProbe probe, int index)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        deadline.CancelAfter(_config.HealthCheckTimeout);
        long start = IoThread.Clock();
        try
        {
            HostFacts facts = await probe.AskAsync(deadline.Token).ConfigureAwait(false);
            long now = IoThread.Clock();
            Update(state => state.Answered(index, facts, now, now - start));
        }
        catch (Exception fault) // Of whatever kind: a monitor that ended would leave its host as it was last seen.
        {
            if (!_end.IsCancellationRequested)
            {
                string problem = deadline.IsCancellationRequested ? "no answer within health_check_timeout" : Innermost(fault).Message;
                Update(state => state.Failed(index, problem, IoThread.Clock()));
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

    private static Exception Innermost(Exception fault) => fault.InnerException is { } inner ? Innermost(inner) : fault;
}
