using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace Pooler.IntegrationTests;

/// <summary>
/// What PgBouncer 1.25.2 answered on its console to each command (Golden/pgbouncer-1.25.2-console.json), and our answers in the same
/// words, one line a message. Recorded with three databases, a user entry and a client in an open transaction; ports and names of
/// the test at hand are brought to those of the record, and what depends on the moment is left out.
/// </summary>
internal static class RecordedConsole
{
    private const string AnyValue = "*";

    /// <summary>Columns whose values are of the moment, by command; "*": all of them, so that only the number of values counts.</summary>
    private static readonly Dictionary<string, string[]> Momentary = new()
    {
        ["SHOW CLIENTS"] = Sockets(),
        ["SHOW SERVERS"] = Sockets("remote_pid"),
        ["SHOW SOCKETS"] = Sockets("remote_pid", "recv_pos", "pkt_avail", "send_pos"),
        ["SHOW ACTIVE_SOCKETS"] = Sockets("recv_pos", "pkt_avail", "send_pos"),
        ["SHOW POOLS"] = ["maxwait", "maxwait_us"],
        ["show pools;"] = ["maxwait", "maxwait_us"],
        ["SHOW STATS"] = [AnyValue],
        ["SHOW STATS_AVERAGES"] = [AnyValue],
        ["SHOW STATS_TOTALS"] = [AnyValue],
        ["SHOW TOTALS"] = ["value"],
    };

    /// <summary>Commands whose rows are of other things than PgBouncer's, or of what the record had and the test has not: peers, names of the DNS.</summary>
    private static readonly HashSet<string> RowsOfTheirOwn =
        ["SHOW MEM", "SHOW PEERS", "SHOW PEER_POOLS", "SHOW DNS_HOSTS", "SHOW DNS_ZONES", "watcher: SHOW POOLS"];

    /// <summary>Values of SHOW CONFIG that are paths of the process.</summary>
    private static readonly HashSet<string> Paths = ["auth_file", "conffile", "logfile", "pidfile", "unix_socket_dir"];

    /// <summary>Rows of SHOW LISTS that peers and the DNS fill.</summary>
    private static readonly HashSet<string> ListsOfOthers = ["peers", "peer_pools", "dns_names", "dns_zones", "dns_queries", "dns_pending"];

    /// <summary>Our own columns, which stand behind PgBouncer's.</summary>
    private static readonly Dictionary<string, string[]> OwnColumns = new()
    {
        ["SHOW MEM"] = ["bytes"],
        ["SHOW STATS"] = ["total_moved_grants"],
    };

    /// <summary>The record, in its order.</summary>
    public static IReadOnlyList<(string Command, JsonElement[] Messages)> All { get; } = Load();

    public static IEnumerable<string> Shows => All.Select(static e => e.Command).Where(static c => c.StartsWith("SHOW ", StringComparison.Ordinal));

    /// <summary>The recorded answer as lines.</summary>
    public static string[] Expected(string command, JsonElement[] messages) => Lines(command, [.. messages.Select(Message.Of)]);

    /// <summary>Our answer as lines.</summary>
    public static string[] Seen(string command, IEnumerable<PgMessage> messages, Func<string, string> toRecord) =>
        Lines(command, [.. messages.Select(m => Message.Of(m, toRecord))]);

    private static string[] Lines(string command, Message[] messages)
    {
        string[] columns = [.. messages.Where(static m => m.Type == "T").Take(1).SelectMany(static m => m.Fields).Select(static f => f!.Split(' ')[0])];
        int own = OwnColumns.GetValueOrDefault(command) is { } names && columns.Length > names.Length && columns.AsSpan(columns.Length - names.Length).SequenceEqual(names) ? names.Length : 0;
        columns = columns[..^own];
        var lines = new List<string>();
        var rows = new List<string>();
        foreach (Message message in messages)
        {
            if (message.Type == "D")
            {
                if (!RowsOfTheirOwn.Contains(command) && (command != "SHOW CONFIG" || Recorded(message.Fields[0]!)))
                    rows.Add(string.Join('|', message.Fields.SkipLast(own).Select((value, i) => Cell(command, columns[i], message.Fields[0], value))));
                continue;
            }

            // Sockets are listed by pool there, by kind here; CONFIG has an order.
            lines.AddRange(command.EndsWith("SOCKETS", StringComparison.Ordinal) ? rows.Order(StringComparer.Ordinal) : rows);
            rows.Clear();
            lines.Add($"{message.Type} {string.Join(", ", message.Type == "T" ? message.Fields.SkipLast(own) : message.Fields)}");
        }

        return [.. lines];
    }

    private static string Cell(string command, string column, string? first, string? value)
    {
        string[] momentary = Momentary.GetValueOrDefault(command) ?? [];
        if (command == "SHOW CONFIG" && column == "value" && Paths.Contains(first!))
            return AnyValue;
        bool isMomentary = momentary.Contains(column) || (momentary.Contains(AnyValue) && column != "database")
            || (command == "SHOW LISTS" && column == "items" && ListsOfOthers.Contains(first!));
        return isMomentary && value != null && value.Length > 0 ? AnyValue : value ?? "NULL";
    }

    private static bool Recorded(string key) => ConfigKeys.Contains(key);

    private static HashSet<string> ConfigKeys => field ??=
        [.. All.Single(static e => e.Command == "SHOW CONFIG").Messages.Select(Message.Of).Where(static m => m.Type == "D").Select(static m => m.Fields[0]!)];

    private static string[] Sockets(params string[] more) =>
        ["port", "local_port", "connect_time", "request_time", "wait", "wait_us", "ptr", "link", "id", .. more];

    private static (string, JsonElement[])[] Load()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", "pgbouncer-1.25.2-console.json")));
        return [.. document.RootElement.EnumerateObject().Select(static e => (e.Name, e.Value.EnumerateArray().Select(static m => m.Clone()).ToArray()))];
    }

    /// <summary>A message as its type and fields; null is SQL's NULL.</summary>
    private sealed record Message(string Type, string?[] Fields)
    {
        public static Message Of(JsonElement recorded)
        {
            JsonProperty message = recorded.EnumerateObject().Single();
            JsonElement value = message.Value;
            string?[] fields = message.Name switch
            {
                "T" => [.. value.EnumerateArray().Select(static c => $"{c[0]} {c[1]} {c[2]}")],
                "S" or "D" => [.. value.EnumerateArray().Select(static v => v.GetString())],
                "E" or "N" => [.. "SCMDH".Select(letter => value.TryGetProperty($"{letter}", out JsonElement field) ? field.GetString() : null).OfType<string>()],
                _ => [$"{value}"],
            };
            return new Message(message.Name, fields);
        }

        /// <summary>The end of the connection comes as a message x.</summary>
        public static Message Of(PgMessage message, Func<string, string> toRecord)
        {
            string?[] fields = message.Type switch
            {
                'T' => [.. Columns(message)],
                'D' => Array.ConvertAll(message.Values(), value => value is null ? null : toRecord(value)),
                'S' => Encoding.UTF8.GetString(message.Body.AsSpan()[..^1]).Split('\0'),
                'E' => [.. OfError(message.Fields()).Select(toRecord)],
                'N' => [.. "SCMDH".Select(letter => message.Fields().GetValueOrDefault(letter, "")).Where(static f => f.Length > 0).Select(toRecord)],
                'R' => [$"{BinaryPrimitives.ReadInt32BigEndian(message.Body)}"],
                'K' => [$"{message.Body.Length}"],
                'Z' => [$"{(char)message.Body[0]}"],
                'x' => ["True"],
                _ => [message.Text()],
            };
            return new Message(message.Type == 'x' ? "closed" : $"{message.Type}", fields);
        }

        /// <summary>PgBouncer's have no more than these; DETAIL and HINT are ours (ErrorTests).</summary>
        private static string[] OfError(Dictionary<char, string> fields)
        {
            Assert.Contains("In the log: C-0x", fields['D'], StringComparison.Ordinal);
            return [fields['S'], fields['C'], fields['M']];
        }
    }

    /// <summary>"name oid size" of each column of a RowDescription, which must be of no table and in text format.</summary>
    public static List<string> Columns(PgMessage description)
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
}
