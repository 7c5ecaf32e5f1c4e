using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>One host as it was last seen; immutable.</summary>
internal sealed record HostState(HostAddress Address)
{
    public HostRole Role { get; init; }

    /// <summary>The last probe was answered, or refused by a host that has too many connections.</summary>
    public bool IsUp { get; init; }

    /// <summary>What it answered last, also while it is down.</summary>
    public HostFacts? Facts { get; init; }

    /// <summary>Why the last probe failed.</summary>
    public string? Problem { get; init; }

    /// <summary>It is alive, but has no connection left for the probe: what it said before it was full still counts.</summary>
    public bool IsRefusing => IsUp && Problem != null;

    /// <summary>Microseconds of the process's clock when it was probed last; 0: never.</summary>
    public long SeenAt { get; init; }

    /// <summary>When the last question that was answered had been sent; 0: none was.</summary>
    public long AskedAt { get; init; }

    /// <summary>Of its WAL, as answered to that: written by a primary, replayed by a standby.</summary>
    public long Position => Facts?.Position ?? 0;

    /// <summary>How long the last answer took, microseconds.</summary>
    public long Latency { get; init; }

    public HostHealth Health { get; init; } = HostHealth.New;

    /// <summary>WAL that a replica lacks, in bytes, compared with the primary's last answer; null where nobody knows.</summary>
    public long? Lag { get; init; }

    /// <summary>How long ago the primary was where this replica is now, microseconds; 0 when it lacks nothing.</summary>
    public long? LagTime { get; init; }

    /// <summary>sync_state of the primary's pg_stat_replication, where it is known which row is this host's.</summary>
    public string? SyncState { get; init; }

    /// <summary>It has the data by logical replication: positions of its own WAL say nothing of the primary's, so it serves nobody with a bound.</summary>
    public bool IsLogical => Role == HostRole.Subscriber;

    /// <summary>In a few words, for who is told that no host could take its work.</summary>
    public string Describe()
    {
        string role = Role.ToString().ToLowerInvariant();
        return !IsUp ? $"{Address} ({role}) does not answer: {Problem ?? "it was never reached"}"
            : Health.State == HealthState.Ejected ? $"{Address} ({role}) is left out after failures"
            : Facts is { IsReadOnly: true } && Role == HostRole.Primary ? $"{Address} ({role}) is read-only"
            : Lag is { } lag ? $"{Address} ({role}) is {lag} bytes behind"
            : $"{Address} is {role}";
    }

    /// <summary>It is a primary, answers, and is not read-only.</summary>
    public bool TakesWrites => IsUp && Role == HostRole.Primary && Facts is { IsReadOnly: false };

    /// <summary>It is of the kind that serves reads.</summary>
    public bool IsReadable => Role is HostRole.Replica or HostRole.Subscriber;

    /// <summary>
    /// It may serve reads: it answers, is not ejected, and lags no more than allowed; a lag nobody knows counts as too much, and of a
    /// subscriber, whose tables may be half copied, always.
    /// </summary>
    public bool ServesReads(ClusterConfig config) => IsUp && IsReadable && Health.State != HealthState.Ejected
        && (Lag != null || !IsLogical)
        && (config.MaxReplicaLag == 0 || Lag <= config.MaxReplicaLag)
        && (config.MaxReplicaLagTime == TimeSpan.Zero || LagTime <= config.MaxReplicaLagTime.TotalMicroseconds);
}
