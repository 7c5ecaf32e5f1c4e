using System.Collections.Immutable;
using System.Globalization;
using Npgsql;

namespace Pooler.Cluster;

/// <summary>The questions about replication that are asked once in an interval, on a probe's connection.</summary>
internal static class ReplicationProbe
{
    // Of walsenders a user without pg_monitor sees that they are there, and little more.
    private const string Receivers = """
        SELECT coalesce(r.application_name, ''), host(r.client_addr), r.state, r.sync_state,
               (r.sent_lsn - '0/0')::bigint, (r.flush_lsn - '0/0')::bigint, (r.replay_lsn - '0/0')::bigint, s.slot_name::text, coalesce(s.slot_type = 'logical', false)
        FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
        ORDER BY 1, 2, r.pid
        """;

    private const string Slots = """
        SELECT slot_name::text, (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots
        WHERE slot_type = 'logical' AND database = current_database() ORDER BY 1
        """;

    private const string Subscriptions = """
        SELECT s.subname::text, s.subslotname::text,
               coalesce((SELECT bool_and(r.srsubstate = 'r') FROM pg_subscription_rel r WHERE r.srsubid = s.oid), false),
               s.oid,
               has_table_privilege('pg_replication_origin_status', 'SELECT') AND has_function_privilege('pg_show_replication_origin_status()', 'EXECUTE')
        FROM pg_subscription s
        WHERE s.subenabled AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY 1
        """;

    private const string Origins = "SELECT external_id, (remote_lsn - '0/0')::bigint FROM pg_replication_origin_status";

    // A standby without a WAL receiver: pg_control knows the timeline of its last restartpoint, which may be minutes old. The file it
    // replays from tells; of several timelines' files for the same place it takes the newest.
    private const string ReplayedFile = """
        WITH place AS (
            SELECT (pg_last_wal_replay_lsn() - '0/0' - 1)::numeric AS position, pg_size_bytes(current_setting('wal_segment_size')) AS size),
        file AS (
            SELECT upper(lpad(to_hex(floor(position / 4294967296)::bigint), 8, '0')
                || lpad(to_hex(floor((position % 4294967296) / size)::bigint), 8, '0')) AS name FROM place)
        SELECT max(left(w.name, 8)) FROM pg_ls_waldir() w, file WHERE w.name ~ '^[0-9A-F]{24}$' AND substr(w.name, 9) = file.name
        """;

    public static async Task<HostFacts> AskAsync(NpgsqlConnection connection, HostFacts facts)
    {
        facts = facts with
        {
            Receivers = await RowsAsync(connection, Receivers, static row => new WalReceiver(
                row.GetString(0), Text(row, 1), Text(row, 2), Text(row, 3), Number(row, 4), Number(row, 5), Number(row, 6), Text(row, 7), row.GetBoolean(8))).ConfigureAwait(false),
        };
        if (facts.IsInRecovery)
        {
            return facts.IsStreaming || !facts.SeesAll ? facts : facts with { Timeline = await ReplayedTimelineAsync(connection, facts.Timeline).ConfigureAwait(false) };
        }

        return facts with
        {
            Slots = await RowsAsync(connection, Slots, static row => new LogicalSlot(row.GetString(0), Number(row, 1))).ConfigureAwait(false),
            Subscriptions = await SubscriptionsAsync(connection).ConfigureAwait(false),
        };
    }

    private static async Task<int> ReplayedTimelineAsync(NpgsqlConnection connection, int atLeast)
    {
        ImmutableArray<string?> found = await RowsAsync(connection, ReplayedFile, static row => Text(row, 0)).ConfigureAwait(false);
        return found is [{ } name] ? Math.Max(atLeast, int.Parse(name, NumberStyles.HexNumber, CultureInfo.InvariantCulture)) : atLeast;
    }

    private static async Task<ImmutableArray<Subscription>> SubscriptionsAsync(NpgsqlConnection connection)
    {
        var rows = await RowsAsync(connection, Subscriptions, static row =>
            (Name: row.GetString(0), Slot: Text(row, 1), IsReady: row.GetBoolean(2), Origin: $"pg_{row.GetFieldValue<uint>(3)}", SeesOrigins: row.GetBoolean(4))).ConfigureAwait(false);
        ImmutableArray<(string? Name, long? Applied)> origins = rows.Any(static r => r.SeesOrigins)
            ? await RowsAsync(connection, Origins, static row => (Text(row, 0), Number(row, 1))).ConfigureAwait(false)
            : [];
        return [.. rows.Select(row => new Subscription(row.Name, row.Slot, row.IsReady, origins.FirstOrDefault(o => o.Name == row.Origin).Applied))];
    }

    private static async Task<ImmutableArray<T>> RowsAsync<T>(
        NpgsqlConnection connection, string question, Func<NpgsqlDataReader, T> read)
    {
        var rows = ImmutableArray.CreateBuilder<T>();
        await using var command = new NpgsqlCommand(question, connection);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync().ConfigureAwait(false);
        while (await reader.ReadAsync().ConfigureAwait(false))
        {
            rows.Add(read(reader));
        }

        return rows.ToImmutable();
    }

    private static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static long? Number(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetInt64(column);
}
