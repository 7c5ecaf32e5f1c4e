using System.Globalization;
using Npgsql;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>
/// Asks one host what it is, on a connection of its own that stays open between probes. Runs on ordinary threads, never on an I/O
/// thread.
/// </summary>
internal sealed class HostProbe : IAsyncDisposable
{
    // CASE keeps each role from calling the other's functions. A standby's timeline is that of what it receives; one that
    // receives nothing, or hides it from a user without pg_monitor, has that of its last checkpoint.
    private const string Question = """
        SELECT pg_is_in_recovery(),
               current_setting('default_transaction_read_only') = 'on',
               (SELECT system_identifier::text FROM pg_control_system()),
               CASE WHEN pg_is_in_recovery()
                    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))::text
                    ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
               (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint,
               CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_receive_lsn() - '0/0')::bigint END,
               pg_postmaster_start_time(),
               current_setting('server_version_num')::int
        """;

    private readonly NpgsqlDataSource _source;
    private NpgsqlConnection? _connection;

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

    /// <summary>Fails with whatever Npgsql says; then the next one connects anew.</summary>
    public async Task<HostFacts> AskAsync(CancellationToken deadline)
    {
        try
        {
            _connection ??= await _source.OpenConnectionAsync(deadline).ConfigureAwait(false);
            await using var command = new NpgsqlCommand(Question, _connection);
            await using NpgsqlDataReader row = await command.ExecuteReaderAsync(deadline).ConfigureAwait(false);
            await row.ReadAsync(deadline).ConfigureAwait(false);
            bool isInRecovery = row.GetBoolean(0);
            return new HostFacts(
                isInRecovery,
                row.GetBoolean(1),
                row.GetString(2),
                int.Parse(row.GetString(3), isInRecovery ? NumberStyles.Integer : NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                row.IsDBNull(4) ? 0 : row.GetInt64(4),
                row.IsDBNull(5) ? null : row.GetInt64(5),
                row.GetDateTime(6).ToUniversalTime(),
                row.GetInt32(7));
        }
        catch
        {
            await DisconnectAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync().ConfigureAwait(false);
        await _source.DisposeAsync().ConfigureAwait(false);
    }

    private async ValueTask DisconnectAsync()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }
}
