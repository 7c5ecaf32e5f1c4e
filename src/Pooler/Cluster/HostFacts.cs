namespace Pooler.Cluster;

/// <summary>What one probe of a host has found.</summary>
/// <param name="IsInRecovery">A standby; otherwise it takes writes, unless it is read-only.</param>
/// <param name="IsReadOnly">default_transaction_read_only is on.</param>
/// <param name="SystemIdentifier">Of the data set (pg_control): the same on a primary and all its standbys.</param>
/// <param name="Timeline">Rises with each promotion.</param>
/// <param name="Position">WAL written by a primary, replayed by a standby, in bytes.</param>
/// <param name="Received">WAL a standby has received; null on a primary, and without streaming.</param>
/// <param name="StartedAt">When its postmaster started: one that has restarted has forgotten its connections.</param>
/// <param name="ServerVersion">As server_version_num.</param>
internal sealed record HostFacts(
    bool IsInRecovery, bool IsReadOnly, string SystemIdentifier, int Timeline, long Position, long? Received, DateTime StartedAt, int ServerVersion);
