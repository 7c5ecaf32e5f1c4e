namespace Pooler.IntegrationTests;

/// <summary>What PgBouncer answers on its console beyond what was recorded (<see cref="RecordedConsole"/>), after its src/admin.c: errors, tags, rights.</summary>
internal static class ConsoleGolden
{
    /// <summary>Every error is ERROR 08P01, and the console goes on.</summary>
    public static readonly TheoryData<string, string> Errors = new()
    {
        { "SHOW", "invalid command 'SHOW', use SHOW HELP;" },
        { "SHOW POOLS; SHOW POOLS", "invalid command 'SHOW POOLS; SHOW POOLS', use SHOW HELP;" },
        { "PAUZE", "invalid command 'PAUZE', use SHOW HELP;" },
        { "RELOAD now", "invalid command 'RELOAD now', use SHOW HELP;" },
        { "SET x", "invalid command 'SET x', use SHOW HELP;" },
        { "PAUSE \"unended", "invalid command 'PAUSE \"unended', use SHOW HELP;" },
        { "PAUSE \"no \"\"such\"\"\"", "no such database: no \"such\"" },
        { "WAIT_CLOSE_AND_MORE", "bad arguments" },
        { "PAUSE pgbouncer", "cannot pause admin db: pgbouncer" },
        { "RESUME nosuch", "no such database: nosuch" },
        { "RESUME app", "database app is not paused" },
        { "ENABLE", "a database is required" },
        { "DISABLE nosuch", "no such database: nosuch" },
        { "DISABLE pgbouncer", "cannot disable admin db: pgbouncer" },
        { "ENABLE pgbouncer", "cannot enable admin db: pgbouncer" },
        { "KILL nosuch", "no such database: nosuch" },
        { "KILL pgbouncer", "cannot kill admin db: pgbouncer" },
        { "KILL_CLIENT x", "invalid client pointer supplied" },
        { "KILL_CLIENT", "invalid client pointer supplied" },
        { "RECONNECT nosuch", "no such database: nosuch" },
        { "RECONNECT pgbouncer", "cannot reconnect admin db: pgbouncer" },
        { "WAIT_CLOSE nosuch", "no such database: nosuch" },
        { "WAIT_CLOSE pgbouncer", "cannot wait in admin db: pgbouncer" },
        { "SUSPEND now", "invalid command 'SUSPEND now', use SHOW HELP;" },
    };

    public static readonly TheoryData<string, string> Tags = new()
    {
        { "SET default_pool_size = 21", "SET default_pool_size=21" },
        { "SET default_pool_size=20", "SET default_pool_size=20" },
        { "SET listen_port = 7000", "SET listen_port=7000" },
        { "RELOAD", "RELOAD" },
        { "PAUSE app", "PAUSE" },
        { "RESUME app", "RESUME" },
        { "DISABLE app", "DISABLE" },
        { "ENABLE app", "ENABLE" },
        { "RECONNECT", "RECONNECT" },
        { "RECONNECT app", "RECONNECT" },
        { "WAIT_CLOSE app", "WAIT_CLOSE" },
        { "WAIT_CLOSE", "WAIT_CLOSE" },
        { "KILL app", "KILL" },
        { "RESUME app", "RESUME" },
        { "SUSPEND", "SUSPEND" },
        { "RESUME", "RESUME" },
    };

    /// <summary>Tables of our own, which stats_users may see.</summary>
    public static readonly string[] OwnTables = ["SHOW HEALTH", "SHOW HOSTS", "SHOW PINS", "SHOW PINS_TOTALS", "SHOW REPLICATION", "SHOW STATEMENTS"];

    /// <summary>What stats_users get "admin access needed" for.</summary>
    public static readonly TheoryData<string> AdminOnly = 
    [
        "RELOAD", "SET default_pool_size=3", "PAUSE", "RESUME", "SHOW PREPARED", "SHOW FDS", "DISABLE app", "ENABLE app", "KILL", "KILL_CLIENT 1",
        "RECONNECT", "WAIT_CLOSE", "SUSPEND", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", "SWITCHOVER app TO there",
    ];
}
