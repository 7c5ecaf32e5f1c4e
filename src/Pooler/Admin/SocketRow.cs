using System.Collections.Immutable;
using System.Globalization;
using Pooler.Net;
using Pooler.Protocol;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>A client or server as SHOW CLIENTS and SHOW SERVERS tell of it (src/admin.c, socket_header and socket_row).</summary>
/// <param name="ConnectedAt">Thread clock, microseconds, as <paramref name="RequestedAt"/> and <paramref name="WaitsSince"/> (0: it does not).</param>
/// <param name="Link">The id of the other end of a lease; 0 for none.</param>
internal sealed record SocketRow(
    string Type,
    string User,
    string Database,
    string State,
    (string Address, int Port) Peer,
    (string Address, int Port) Local,
    long ConnectedAt,
    long RequestedAt,
    long WaitsSince,
    bool CloseNeeded,
    long Id,
    long Link,
    int ProcessId,
    string ApplicationName,
    int PreparedStatements = 0)
{
    /// <summary>Bytes received and not taken yet, and bytes to be sent; of SHOW SOCKETS alone.</summary>
    public int Unread { get; init; }

    public int Unsent { get; init; }

    /// <summary>Version and cipher suite; empty: no TLS.</summary>
    public string Tls { get; init; } = "";

    public static readonly ImmutableArray<ColumnDescription> Columns =
    [
        Text("type"), Text("user"), Text("database"), Text("replication"), Text("state"), Text("addr"), Int4("port"), Text("local_addr"),
        Int4("local_port"), Text("connect_time"), Text("request_time"), Int4("wait"), Int4("wait_us"), Int4("close_needed"), Text("ptr"),
        Text("link"), Int4("remote_pid"), Text("tls"), Text("application_name"), Int4("prepared_statements"), Int4("id"),
    ];

    /// <summary>With those of SHOW SOCKETS behind.</summary>
    public static readonly ImmutableArray<ColumnDescription> ColumnsWithBuffers =
    [
        .. Columns, Int4("recv_pos"), Int4("pkt_pos"), Int4("pkt_remain"), Int4("send_pos"), Int4("send_remain"), Int4("pkt_avail"), Int4("send_avail"),
    ];

    /// <summary>All rows as one table, made off the I/O threads: there may be many.</summary>
    public static ValueTask<Table> ToTable(Connection asker, List<SocketRow> rows, bool withBuffers = false) => Offload.Run(
        asker,
        static s =>
        {
            var table = new Table(s.withBuffers ? ColumnsWithBuffers : Columns);
            long clock = IoThread.Clock();
            DateTime now = DateTime.UtcNow;
            foreach (SocketRow row in s.rows)
            {
                string[] values = row.Values(clock, now);
                table.Add(s.withBuffers ? [.. values, .. row.Buffers] : values);
            }

            return table;
        },
        (rows, withBuffers));

    /// <summary>We forward from where bytes were received, so there are no positions in a packet.</summary>
    private string[] Buffers => [$"{Unread}", "0", "0", "0", $"{Unsent}", $"{Unread}", $"{Unsent}"];

    private string[] Values(long clock, DateTime now)
    {
        long wait = WaitsSince > 0 ? Math.Max(0, clock - WaitsSince) : 0;
        return
        [
            Type, User, Database, "none", State, Peer.Address, $"{Peer.Port}", Local.Address, $"{Local.Port}",
            Time(ConnectedAt, clock, now), Time(RequestedAt, clock, now), $"{wait / 1_000_000}", $"{wait % 1_000_000}",
            CloseNeeded ? "1" : "0", Pointer(Id), Link > 0 ? Pointer(Link) : "", $"{ProcessId}", Tls, ApplicationName, $"{PreparedStatements}", $"{Id & int.MaxValue}",
        ];
    }

    private static string Time(long at, long clock, DateTime now) =>
        now.AddMicroseconds(at - clock).ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static string Pointer(long id) => $"0x{id:x}";
}
