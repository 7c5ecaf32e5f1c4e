using System.Globalization;
using Npgsql;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Cluster;

/// <summary>
/// Asks one host what it is, on a connection of its own that stays open between probes. Runs on ordinary threads, never on an I/O
/// thread.
/// </summary>
internal sealed class HostProbe : IAsyncDisposable
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

    private readonly NpgsqlDataSource _source;
    private NpgsqlConnection? _connection;
    private NpgsqlCommand? _glance;
    private HostFacts? _known;
    private long _knownAt;
    private bool _isOwnReadOnly;

    public HostProbe(ClusterConfig config, HostAddress host) => _source = new NpgsqlSlimDataSourceBuilder(ConnectString(config, host).ConnectionString).Build();

    /// <summary>How a host is asked about itself and its database; the caller's deadlines are the ones.</summary>
    internal static NpgsqlConnectionStringBuilder ConnectString(ClusterConfig config, HostAddress host) => new()
    {
        Host = host.Name.Length == 0 ? config.UnixSocketDirectory : host.Name,
        Port = host.Port,
        Database = config.DbName,
        Username = config.MonitorUser,
        Password = config.MonitorPassword,
        ApplicationName = "pooler monitor",
        SslMode = Npgsql.SslMode.Disable, // As towards servers, until there is TLS.
        Pooling = false,
        Timeout = 0,
        CommandTimeout = 0,
    };

    /// <summary>When the question was sent whose answer told what the host is now, and how long the answer took (µs).</summary>
    public long AskedAt { get; private set; }

    public long Latency { get; private set; }

    /// <summary>
    /// The host as it is now. What changes slowly is asked for once in <paramref name="interval"/>. Fails with whatever Npgsql says,
    /// once a new connection has failed as well: one that was open may have been cut by anything.
    /// </summary>
    public async Task<HostFacts> AskAsync(TimeSpan interval, CancellationToken deadline)
    {
        bool wasOpen = _connection != null;
        try
        {
            return await AskOnceAsync(interval, deadline).ConfigureAwait(false);
        }
        catch (Exception) when (wasOpen && !deadline.IsCancellationRequested)
        {
            return await AskOnceAsync(interval, deadline).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync().ConfigureAwait(false);
        await _source.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<HostFacts> AskOnceAsync(TimeSpan interval, CancellationToken deadline)
    {
        try
        {
            if (_connection == null)
            {
                await ConnectAsync(deadline).ConfigureAwait(false);
            }

            long now = AskedAt = IoThread.Clock();
            if (_known is { } known && now - _knownAt < (long)interval.TotalMicroseconds)
            {
                HostFacts seen = await GlanceAsync(known, deadline).ConfigureAwait(false);
                if (seen.IsInRecovery == known.IsInRecovery && seen.StartedAt == known.StartedAt)
                {
                    return _known = seen;
                }
            }

            AskedAt = IoThread.Clock();
            _known = await AskAllAsync(deadline).ConfigureAwait(false);
            _knownAt = now;
            return _known;
        }
        catch
        {
            await DisconnectAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task ConnectAsync(CancellationToken deadline)
    {
        _known = null; // The host may be another by now.
        _connection = await _source.OpenConnectionAsync(deadline).ConfigureAwait(false);
        _glance = new NpgsqlCommand(Glance, _connection);
        await _glance.PrepareAsync(deadline).ConfigureAwait(false);
    }

    private async Task<HostFacts> GlanceAsync(HostFacts known, CancellationToken deadline)
    {
        await using NpgsqlDataReader row = await _glance!.ExecuteReaderAsync(deadline).ConfigureAwait(false);
        await row.ReadAsync(deadline).ConfigureAwait(false);
        Latency = IoThread.Clock() - AskedAt;
        return Seen(row, known);
    }

    private async Task<HostFacts> AskAllAsync(CancellationToken deadline)
    {
        HostFacts facts;
        await using (var command = new NpgsqlCommand(Question, _connection))
        await using (NpgsqlDataReader row = await command.ExecuteReaderAsync(deadline).ConfigureAwait(false))
        {
            await row.ReadAsync(deadline).ConfigureAwait(false);
            Latency = IoThread.Clock() - AskedAt;
            _isOwnReadOnly = row.GetBoolean(15);
            facts = Seen(row, new HostFacts(false, false, row.GetString(6), row.GetInt32(8), 0, null, default, row.GetInt32(7))
            {
                SeesAll = row.GetBoolean(9),
                IsPaused = row.GetBoolean(10),
                IsStreaming = row.GetBoolean(11),
                SlotName = row.IsDBNull(12) ? null : row.GetString(12),
                Address = row.IsDBNull(13) ? null : row.GetString(13),
                ClusterName = row.GetString(14),
            });
        }

        return await ReplicationProbe.AskAsync(_connection!, facts, deadline).ConfigureAwait(false);
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

    /// <summary>The next question goes over a new connection.</summary>
    public async ValueTask DisconnectAsync()
    {
        if (_connection is { } connection)
        {
            (_connection, _glance) = (null, null);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }
}
