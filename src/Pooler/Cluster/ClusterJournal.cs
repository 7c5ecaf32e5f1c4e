using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Cluster;

/// <summary>The log lines of a cluster: what is another now than it was, and what to do about it.</summary>
internal sealed class ClusterJournal(string cluster, ILogger log)
{
    /// <summary>As SHOW HOSTS and the log say it.</summary>
    public static string Word(HostRole role) => role switch
    {
        HostRole.Primary => "primary",
        HostRole.Replica => "replica",
        HostRole.Subscriber => "subscriber",
        HostRole.Rival => "rival",
        HostRole.Foreign => "foreign",
        _ => "unknown",
    };

    public static string Word(HealthState state) => state switch
    {
        HealthState.Up => "up",
        HealthState.Down => "down",
        HealthState.Ejected => "ejected",
        HealthState.HalfOpen => "half-open",
        _ => "unknown",
    };

    /// <summary>Why a host that answers is not what it could be; null when all is well.</summary>
    public static string? Trouble(ClusterState state, HostState host)
    {
        if (host.Problem != null || host.Facts is not { } facts)
        {
            return host.Problem;
        }

        return host.Role switch
        {
            HostRole.Rival when facts.Timeline < state.Timeline => $"takes writes on timeline {facts.Timeline}, and {state.Timeline} was seen (cluster_state_file)",
            HostRole.Rival => "takes writes and is not the primary",
            HostRole.Foreign => $"its system identifier is not {state.SystemIdentifier} (cluster_state_file)",
            HostRole.Primary when facts.IsReadOnly => "default_transaction_read_only is on",
            HostRole.Primary when state is { HasManyPrimaries: false, WritablePrimary: null } => "another host takes writes (on_two_primaries = hold)",
            HostRole.Subscriber when host.Lag == null => "its tables are not all copied",
            HostRole.Replica when facts.IsPaused => "replay is paused",
            _ when !facts.SeesAll => "its lag is not known: the monitor's user lacks pg_monitor",
            _ => null,
        };
    }

    public void Tell(ClusterState before, ClusterState after)
    {
        for (int i = 0; i < after.Hosts.Length; i++)
        {
            TellHost(before.Hosts[i], after.Hosts[i], after);
        }

        if (after.Rival is { } rival && before.Rival == null)
        {
            string name = NameOf(after.Hosts[rival]);
            string present = after.Primary is { } primary ? $"{after.Hosts[primary].Address}" : "none";
            log.TwoPrimaries(name, present, after.Hosts[rival].Facts!.Timeline, after.Timeline);
        }

        if (before.WritablePrimary != null && after is { WritablePrimary: null, HasManyPrimaries: false })
        {
            log.NoPrimary(cluster);
        }
    }

    private void TellHost(HostState was, HostState host, ClusterState state)
    {
        string name = NameOf(host);
        if (host.IsRefusing && !was.IsRefusing)
        {
            log.HostIsFull(name, host.Problem!);
        }

        if (host.IsUp && host.Facts is { } facts)
        {
            if (host.Role != HostRole.Unknown && (host.Role != was.Role || !was.IsUp))
            {
                string role = Word(host.Role);
                log.HostIs(name, role, facts.Timeline);
                if (host.Role == HostRole.Foreign)
                {
                    log.HostIsForeign(name, facts.SystemIdentifier, state.SystemIdentifier!);
                }
            }

            if (!facts.SeesAll && was.Facts is null or { SeesAll: true })
            {
                log.HostIsHidden(name);
            }
        }
        else if (!host.IsUp && host.SeenAt != 0 && (was.IsUp || was.SeenAt == 0))
        {
            log.HostIsDown(name, host.Problem!);
        }

        if (host.Health.State == HealthState.Ejected && was.Health.State != HealthState.Ejected)
        {
            long seconds = (host.Health.NextTry - host.Health.Since) / 1_000_000;
            log.HostIsEjected(name, host.Health.LastProblem!, seconds);
        }
    }

    private string NameOf(HostState host) => $"{cluster}: {host.Address}";
}
