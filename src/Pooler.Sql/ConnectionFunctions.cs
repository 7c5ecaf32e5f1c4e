namespace Pooler.Sql;

/// <summary>Functions that tell of the connection, the clock or a setting and read no table: on every replica they are as right.</summary>
internal static class ConnectionFunctions
{
    private static readonly NameTable<bool> All = new(
        """
        current_database current_schema current_setting inet_client_addr inet_client_port inet_server_addr inet_server_port now
        pg_backend_pid pg_postmaster_start_time statement_timestamp transaction_timestamp version
        """.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries).ToDictionary(static name => name, static _ => true));

    public static bool Has(ReadOnlySpan<byte> name, ulong hash, bool isFolded) => All.Find(name, hash, isFolded);
}
