using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>What PgBouncer 1.25.2 answers on its console, as recorded from it: columns with type oid and size, tags, errors.</summary>
internal static class ConsoleGolden
{
    /// <summary>ParameterStatus messages at login, in order.</summary>
    public static readonly string[] Welcome =
    [
        "server_version=1.25.2/bouncer", "client_encoding=UTF8", "server_encoding=UTF8", "DateStyle=ISO", "TimeZone=GMT",
        "standard_conforming_strings=on", "is_superuser=on",
    ];

    private const string Sockets = """
        type 25 -1, user 25 -1, database 25 -1, replication 25 -1, state 25 -1, addr 25 -1, port 23 4, local_addr 25 -1, local_port 23 4,
        connect_time 25 -1, request_time 25 -1, wait 23 4, wait_us 23 4, close_needed 23 4, ptr 25 -1, link 25 -1, remote_pid 23 4, tls 25 -1,
        application_name 25 -1, prepared_statements 23 4, id 23 4
        """;

    private const string Buffers =
        ", recv_pos 23 4, pkt_pos 23 4, pkt_remain 23 4, send_pos 23 4, send_remain 23 4, pkt_avail 23 4, send_avail 23 4";

    private const string PoolsTable = """
        database 25 -1, user 25 -1, cl_active 23 4, cl_waiting 23 4, cl_active_cancel_req 23 4, cl_waiting_cancel_req 23 4, sv_active 23 4,
        sv_active_cancel 23 4, sv_being_canceled 23 4, sv_idle 23 4, sv_used 23 4, sv_tested 23 4, sv_login 23 4, maxwait 23 4, maxwait_us 23 4,
        pool_mode 25 -1, load_balance_hosts 25 -1
        """;

    public static readonly TheoryData<string, string> Tables = new()
    {
        { "SHOW SOCKETS", Sockets + Buffers },
        { "SHOW ACTIVE_SOCKETS", Sockets + Buffers },
        { "SHOW PEERS", "peer_id 23 4, host 25 -1, port 23 4, pool_size 23 4" },
        { "SHOW PEER_POOLS", "peer_id 23 4, cl_active_cancel_req 23 4, cl_waiting_cancel_req 23 4, sv_active_cancel 23 4, sv_login 23 4" },
        { "SHOW DNS_HOSTS", "hostname 25 -1, ttl 20 8, addrs 25 -1" },
        { "SHOW DNS_ZONES", "zonename 25 -1, serial 20 8, count 23 4" },
        { "SHOW VERSION", "version 25 -1" },
        { "SELECT VERSION", "version 25 -1" },
        { "SHOW POOLS", PoolsTable },
        { "show pools;", PoolsTable },
        { "SHOW CLIENTS", Sockets },
        { "SHOW SERVERS", Sockets },
        { "SHOW CONFIG", "key 25 -1, value 25 -1, default 25 -1, changeable 25 -1" },
        {
            "SHOW DATABASES", """
            name 25 -1, host 25 -1, port 23 4, database 25 -1, force_user 25 -1, pool_size 23 4, min_pool_size 23 4, reserve_pool_size 23 4,
            server_lifetime 23 4, pool_mode 25 -1, load_balance_hosts 25 -1, max_connections 23 4, current_connections 23 4,
            max_client_connections 23 4, current_client_connections 23 4, paused 23 4, disabled 23 4
            """
        },
        { "SHOW LISTS", "list 25 -1, items 23 4" },
        { "SHOW MEM", "name 25 -1, size 23 4, used 23 4, free 23 4, memtotal 23 4" },
        { "SHOW STATE", "key 25 -1, value 25 -1" },
        {
            "SHOW STATS", """
            database 25 -1, total_server_assignment_count 1700 -1, total_xact_count 1700 -1, total_query_count 1700 -1, total_received 1700 -1,
            total_sent 1700 -1, total_xact_time 1700 -1, total_query_time 1700 -1, total_wait_time 1700 -1, total_client_parse_count 1700 -1,
            total_server_parse_count 1700 -1, total_bind_count 1700 -1, total_client_login_count 1700 -1, avg_server_assignment_count 1700 -1,
            avg_xact_count 1700 -1, avg_query_count 1700 -1, avg_recv 1700 -1, avg_sent 1700 -1, avg_xact_time 1700 -1, avg_query_time 1700 -1,
            avg_wait_time 1700 -1, avg_client_parse_count 1700 -1, avg_server_parse_count 1700 -1, avg_bind_count 1700 -1,
            avg_client_login_count 1700 -1
            """
        },
        {
            "SHOW STATS_AVERAGES", """
            database 25 -1, server_assignment_count 1700 -1, xact_count 1700 -1, query_count 1700 -1, bytes_received 1700 -1, bytes_sent 1700 -1,
            xact_time 1700 -1, query_time 1700 -1, wait_time 1700 -1, avg_client_parse_count 1700 -1, avg_server_parse_count 1700 -1,
            avg_bind_count 1700 -1, avg_client_login_count 1700 -1
            """
        },
        {
            "SHOW STATS_TOTALS", """
            database 25 -1, server_assignment_count 1700 -1, xact_count 1700 -1, query_count 1700 -1, bytes_received 1700 -1, bytes_sent 1700 -1,
            xact_time 1700 -1, query_time 1700 -1, wait_time 1700 -1, client_parse_count 1700 -1, server_parse_count 1700 -1, bind_count 1700 -1,
            client_login_count 1700 -1
            """
        },
        { "SHOW TOTALS", "name 25 -1, value 1700 -1" },
        {
            "SHOW USERS", """
            name 25 -1, pool_size 25 -1, reserve_pool_size 25 -1, pool_mode 25 -1, max_user_connections 23 4, current_connections 23 4,
            max_user_client_connections 23 4, current_client_connections 23 4
            """
        },
    };

    /// <summary>One column, one row.</summary>
    public static readonly TheoryData<string, string, string> Fixed = new()
    {
        { "SHOW client_encoding", "client_encoding 25 -1", "UTF-8" },
        { "SHOW datestyle", "datestyle 25 -1", "ISO" },
        { "SHOW timezone", "timezone 25 -1", "GMT" },
        { "SHOW standard_conforming_strings", "standard_conforming_strings 25 -1", "on" },
        { "SHOW default_transaction_isolation", "default_transaction_isolation 25 -1", "read committed" },
    };

    /// <summary>First column of the tables whose rows are always the same.</summary>
    public static readonly TheoryData<string, string> FirstColumns = new()
    {
        {
            "SHOW LISTS", "databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers dns_names "
            + "dns_zones dns_queries dns_pending"
        },
        { "SHOW STATE", "active paused suspended" },
        {
            "SHOW TOTALS", """
            total_server_assignment_count total_xact_count total_query_count total_client_bytes total_server_bytes total_xact_time total_query_time
            total_wait_time total_ps_client_parse_count total_ps_server_parse_count total_ps_bind_count total_client_login_count
            avg_server_assignment_count avg_xact_count avg_query_count avg_client_bytes avg_server_bytes avg_xact_time avg_query_time
            avg_wait_time avg_ps_client_parse_count avg_ps_server_parse_count avg_ps_bind_count avg_client_login_count
            """
        },
    };

    /// <summary>Every error is ERROR 08P01, and the console goes on.</summary>
    public static readonly TheoryData<string, string> Errors = new()
    {
        { "SHOW transaction_isolation", "invalid command 'SHOW transaction_isolation', use SHOW HELP;" },
        { "SHOW nonsense", "invalid command 'SHOW nonsense', use SHOW HELP;" },
        { "nonsense", "invalid command 'nonsense', use SHOW HELP;" },
        { "", "invalid command '', use SHOW HELP;" },
        { "SELECT 1", "invalid command 'SELECT 1', use SHOW HELP;" },
        { "BEGIN", "invalid command 'BEGIN', use SHOW HELP;" },
        { "SHOW POOLS EXTRA", "invalid command 'SHOW POOLS EXTRA', use SHOW HELP;" },
        { "SET nosuch = 1", "SET failed" },
        { "SET extra_float_digits=2", "SET failed" },
        { "SET default_pool_size = abc", "SET failed" },
        { "RESUME", "pooler is not paused/suspended" },
        { "PAUSE nosuch", "no such database: nosuch" },
        { "DISABLE", "a database is required" },
        { "ENABLE", "a database is required" },
        { "DISABLE nosuch", "no such database: nosuch" },
        { "DISABLE pgbouncer", "cannot disable admin db: pgbouncer" },
        { "ENABLE pgbouncer", "cannot disable admin db: pgbouncer" },
        { "KILL nosuch", "no such database: nosuch" },
        { "KILL pgbouncer", "cannot kill admin db: pgbouncer" },
        { "KILL_CLIENT 999999", "client not found" },
        { "KILL_CLIENT x", "invalid client pointer supplied" },
        { "KILL_CLIENT", "invalid client pointer supplied" },
        { "RECONNECT nosuch", "no such database: nosuch" },
        { "RECONNECT pgbouncer", "cannot reconnect admin db: pgbouncer" },
        { "WAIT_CLOSE nosuch", "no such database: nosuch" },
        { "WAIT_CLOSE pgbouncer", "cannot wait in admin db: pgbouncer" },
        { "SHUTDOWN NONSENSE", "invalid command 'SHUTDOWN NONSENSE', use SHOW HELP;" },
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

    public static readonly TheoryData<string> IgnoredSets = ["SET client_encoding = 'UTF8'", "SET DateStyle=ISO"];

    /// <summary>What stats_users get "admin access needed" for.</summary>
    public static readonly TheoryData<string> AdminOnly = 
    [
        "RELOAD", "SET default_pool_size=3", "PAUSE", "RESUME", "SHOW PREPARED", "SHOW FDS", "DISABLE app", "ENABLE app", "KILL", "KILL_CLIENT 1",
        "RECONNECT", "WAIT_CLOSE", "SUSPEND", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS",
    ];

    /// <summary>"name oid size" of each column of a RowDescription, which must be of no table and in text format.</summary>
    public static List<string> ColumnsOf(PgMessage description)
    {
        var columns = new List<string>();
        int at = 2;
        while (columns.Count < BinaryPrimitives.ReadInt16BigEndian(description.Body))
        {
            int end = Array.IndexOf(description.Body, (byte)0, at);
            string name = Encoding.UTF8.GetString(description.Body, at, end - at);
            ReadOnlySpan<byte> rest = description.Body.AsSpan(end + 1);
            Assert.Equal(0, BinaryPrimitives.ReadInt32BigEndian(rest));
            Assert.Equal(0, BinaryPrimitives.ReadInt16BigEndian(rest[4..]));
            Assert.Equal(-1, BinaryPrimitives.ReadInt32BigEndian(rest[12..]));
            Assert.Equal(0, BinaryPrimitives.ReadInt16BigEndian(rest[16..]));
            columns.Add($"{name} {BinaryPrimitives.ReadInt32BigEndian(rest[6..])} {BinaryPrimitives.ReadInt16BigEndian(rest[10..])}");
            at = end + 1 + 18;
        }

        return columns;
    }

    public static string[] Split(string columns) => columns.Split(',', StringSplitOptions.TrimEntries);
}
