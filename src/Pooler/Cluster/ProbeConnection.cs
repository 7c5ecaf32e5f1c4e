using System.Globalization;
using Npgsql;
using Pooler.Net;

namespace Pooler.Cluster;

/// <summary>
/// One connection of a probe. Its questions take no deadline: Npgsql would send a CancelRequest first and wait for its end, which a host
/// that has fallen silent never brings. Who has waited long enough leaves it.
/// </summary>
internal sealed class ProbeConnection(NpgsqlConnection connection) : IAsyncDisposable
{
    // What may change from one moment to the next, and costs the host next to nothing. CASE keeps each role from calling the other's
    // functions. A standby's timeline is that of what it receives.
    private const string Glance = """
        SELECT pg_is_in_recovery(),
               current_setting('default_transaction_read_only') = 'on',
               CASE WHEN pg_is_in_recovery()
                    THEN (SELECT received_tli FROM pg_stat_wal_receiver)::text
                    ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
               (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint,
               CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_receive_lsn() - '0/0')::bigint END,
               pg_postmaster_start_time()
        """;

    // A standby that receives nothing, or hides it from a user without pg_monitor, has at least the timeline of its last checkpoint.
    // A monitor's user that was made read-only says nothing of the host.
    private const string Question = Glance + """
        ,
               (SELECT system_identifier::text FROM pg_control_system()),
               current_setting('server_version_num')::int,
               (SELECT timeline_id FROM pg_control_checkpoint()),
               pg_has_role('pg_monitor', 'USAGE'),
               CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
               EXISTS (SELECT FROM pg_stat_wal_receiver),
               (SELECT slot_name FROM pg_stat_wal_receiver),
               host(inet_server_addr()),
               current_setting('cluster_name'),
               (SELECT source IN ('user', 'database user') FROM pg_settings WHERE name = 'default_transaction_read_only')
        """;

    private NpgsqlCommand? _glance;
    private HostFacts? _known;
    private long _knownAt;
    private bool _isOwnReadOnly;

    /// <summary>What changes slowly is asked for once in <paramref name="interval"/>.</summary>
    public async Task<HostAnswer> AskAsync(TimeSpan interval)
    {
        long now = IoThread.Clock();
        if (_known is { } known && now - _knownAt < (long)interval.TotalMicroseconds)
        {
            HostAnswer seen = await GlanceAsync(known, now).ConfigureAwait(false);
            if (seen.Facts.IsInRecovery == known.IsInRecovery && seen.Facts.StartedAt == known.StartedAt)
            {
                _known = seen.Facts;
                return seen;
            }
        }

        HostAnswer answer = await AskAllAsync(IoThread.Clock()).ConfigureAwait(false);
        (_known, _knownAt) = (answer.Facts, now);
        return answer;
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    private async Task<HostAnswer> GlanceAsync(HostFacts known, long askedAt)
    {
        if (_glance == null)
        {
            _glance = new NpgsqlCommand(Glance, connection);
            await _glance.PrepareAsync().ConfigureAwait(false);
        }

        await using NpgsqlDataReader row = await _glance.ExecuteReaderAsync().ConfigureAwait(false);
        await row.ReadAsync().ConfigureAwait(false);
        return new HostAnswer(Seen(row, known), askedAt, IoThread.Clock() - askedAt);
    }

    private async Task<HostAnswer> AskAllAsync(long askedAt)
    {
        HostAnswer answer;
        await using (var command = new NpgsqlCommand(Question, connection))
        await using (NpgsqlDataReader row = await command.ExecuteReaderAsync().ConfigureAwait(false))
        {
            await row.ReadAsync().ConfigureAwait(false);
            _isOwnReadOnly = row.GetBoolean(15);
            var facts = new HostFacts(false, false, row.GetString(6), row.GetInt32(8), 0, null, default, row.GetInt32(7))
            {
                SeesAll = row.GetBoolean(9),
                IsPaused = row.GetBoolean(10),
                IsStreaming = row.GetBoolean(11),
                SlotName = row.IsDBNull(12) ? null : row.GetString(12),
                Address = row.IsDBNull(13) ? null : row.GetString(13),
                ClusterName = row.GetString(14),
            };
            answer = new HostAnswer(Seen(row, facts), askedAt, IoThread.Clock() - askedAt);
        }

        return answer with { Facts = await ReplicationProbe.AskAsync(connection, answer.Facts).ConfigureAwait(false) };
    }

    /// <summary>What the columns of <see cref="Glance"/> say; the rest is as known.</summary>
    private HostFacts Seen(NpgsqlDataReader row, HostFacts known)
    {
        bool isInRecovery = row.GetBoolean(0);
        return known with
        {
            IsInRecovery = isInRecovery,
            IsReadOnly = row.GetBoolean(1) && !_isOwnReadOnly,
            Timeline = row.IsDBNull(2) ? known.Timeline
                : int.Parse(row.GetString(2), isInRecovery ? NumberStyles.Integer : NumberStyles.HexNumber, CultureInfo.InvariantCulture),
            Position = row.IsDBNull(3) ? 0 : row.GetInt64(3),
            Received = row.IsDBNull(4) ? null : row.GetInt64(4),
            StartedAt = row.GetDateTime(5).ToUniversalTime(),
        };
    }
}

/// <summary>What a host has said, when it was asked, and how long the answer took (µs).</summary>
internal sealed record HostAnswer(HostFacts Facts, long AskedAt, long Latency);
