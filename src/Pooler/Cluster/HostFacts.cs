using System.Collections.Immutable;

namespace Pooler.Cluster;

/// <summary>What one probe of a host has found.</summary>
/// <param name="IsInRecovery">A standby; otherwise it takes writes, unless it is read-only.</param>
/// <param name="IsReadOnly">default_transaction_read_only is on, for others than the monitor's user.</param>
/// <param name="SystemIdentifier">Of the data set (pg_control): the same on a primary and all its standbys.</param>
/// <param name="Timeline">Rises with each promotion.</param>
/// <param name="Position">WAL written by a primary, replayed by a standby, in bytes.</param>
/// <param name="Received">WAL a standby has received; null on a primary, and without streaming.</param>
/// <param name="StartedAt">When its postmaster started: one that has restarted has forgotten its connections.</param>
/// <param name="ServerVersion">As server_version_num.</param>
internal sealed record HostFacts(
    bool IsInRecovery, bool IsReadOnly, string SystemIdentifier, int Timeline, long Position, long? Received, DateTime StartedAt, int ServerVersion)
{
    /// <summary>The monitor's user has pg_monitor; else it is not told who replicates, and which timeline a standby is on.</summary>
    public bool SeesAll { get; init; } = true;

    /// <summary>Replay was paused by pg_wal_replay_pause().</summary>
    public bool IsPaused { get; init; }

    /// <summary>A standby with a WAL receiver; one without is fed from an archive, or by nobody.</summary>
    public bool IsStreaming { get; init; }

    /// <summary>As it sees itself: its end of the monitor's connection; null over a Unix socket.</summary>
    public string? Address { get; init; }

    /// <summary>cluster_name, which a standby calls itself by towards its sender.</summary>
    public string ClusterName { get; init; } = "";

    /// <summary>The slot its WAL receiver uses.</summary>
    public string? SlotName { get; init; }

    /// <summary>Who receives its WAL.</summary>
    public ImmutableArray<WalReceiver> Receivers { get; init; } = [];

    /// <summary>Its logical slots for the entry's database, by name: up to where their subscribers have all.</summary>
    public ImmutableArray<LogicalSlot> Slots { get; init; } = [];

    /// <summary>What the entry's database subscribes to elsewhere.</summary>
    public ImmutableArray<Subscription> Subscriptions { get; init; } = [];
}

/// <summary>A row of pg_stat_replication; what a user without pg_monitor may not see is null.</summary>
internal sealed record WalReceiver(
    string Application, string? Address, string? State, string? SyncState, long? Sent, long? Flushed, long? Replayed, string? Slot, bool IsLogical);

/// <summary>A logical replication slot of a primary.</summary>
/// <param name="Confirmed">What its subscriber has applied and flushed.</param>
internal sealed record LogicalSlot(string Name, long? Confirmed);

/// <summary>An enabled subscription.</summary>
/// <param name="Slot">The slot it uses at its publisher.</param>
/// <param name="IsReady">Every table of it has been copied and follows.</param>
/// <param name="Applied">WAL of the publisher that it has applied; null where the monitor's user may not see it.</param>
internal sealed record Subscription(string Name, string? Slot, bool IsReady, long? Applied);
