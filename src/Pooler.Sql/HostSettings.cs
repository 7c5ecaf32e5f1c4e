namespace Pooler.Sql;

/// <summary>Settings that a standby has otherwise than its primary: who asks for them asks the primary.</summary>
internal static class HostSettings
{
    private static readonly NameTable<bool> All = new(
        """
        archive_mode cluster_name config_file data_directory default_transaction_read_only external_pid_file hba_file hot_standby
        hot_standby_feedback ident_file in_hot_standby listen_addresses port primary_conninfo primary_slot_name
        promote_trigger_file recovery_end_command recovery_min_apply_delay recovery_target recovery_target_action
        recovery_target_inclusive recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline
        recovery_target_xid restore_command sync_replication_slots synchronized_standby_slots synchronous_standby_names
        transaction_read_only unix_socket_directories wal_receiver_status_interval wal_retrieve_retry_interval
        """.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries).ToDictionary(static name => name, static _ => true));

    public static bool Has(ReadOnlySpan<byte> name) => All.Find(name, NameHash.Of(name, isFolded: true), isFolded: true);
}
