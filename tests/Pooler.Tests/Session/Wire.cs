using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Pooler.Protocol;

namespace Pooler.Tests.Session;

/// <summary>Messages of both sides as bytes.</summary>
internal static class Wire
{
    public static readonly byte[] Sync = Frame('S'), Flush = Frame('H'), Terminate = Frame('X'), CopyDone = Frame('c');

    public static byte[] Frame(char type, params ReadOnlySpan<byte> body)
    {
        byte[] frame = new byte[5 + body.Length];
        frame[0] = (byte)type;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), body.Length + 4);
        body.CopyTo(frame.AsSpan(5));
        return frame;
    }

    public static byte[] Text(char type, string text) => Frame(type, [.. Encoding.UTF8.GetBytes(text), 0]);

    public static byte[] Join(params IEnumerable<byte[]> parts) => [.. parts.SelectMany(static p => p)];

    public static byte[] Query(string text) => Text('Q', text);

    public static byte[] Parse(string text, string name = "") => Frame('P', [.. Encoding.UTF8.GetBytes(name), 0, .. Encoding.UTF8.GetBytes(text), 0, 0, 0]);

    public static byte[] Bind(string portal = "") => Frame('B', [.. Encoding.UTF8.GetBytes(portal), 0, 0, 0, 0, 0, 0, 0, 0]);

    public static byte[] Describe(char kind, string name = "") => Frame('D', [(byte)kind, .. Encoding.UTF8.GetBytes(name), 0]);

    public static byte[] Execute(string portal = "") => Frame('E', [.. Encoding.UTF8.GetBytes(portal), 0, 0, 0, 0, 0]);

    public static byte[] Close(string name = "") => Frame('C', [(byte)'S', .. Encoding.UTF8.GetBytes(name), 0]);

    public static byte[] CopyData(string text) => Frame('d', Encoding.UTF8.GetBytes(text));

    public static byte[] CopyFail(string text) => Text('f', text);

    public static byte[] FunctionCall(string name) => Text('F', name);

    public static byte[] Startup(string user, string database, int minor = 0) =>
        Write(w => w.WriteStartup((3 << 16) | minor, new("user", user), new("database", database)));

    /// <summary>One that asks for a setting servers do not report: it is set, and waited for, on each server the client gets.</summary>
    public static byte[] StartupWith(string name, string value) =>
        Write(w => w.WriteStartup(3 << 16, new("user", "u"), new("database", "db"), new(name, value)));

    /// <summary>CancelRequest with the body of a BackendKeyData.</summary>
    public static byte[] Cancel(byte[] key) => Write(w => w.WriteCancelRequest(BinaryPrimitives.ReadInt32BigEndian(key), key.AsSpan(4)));

    public static byte[] Ready(char status) => Frame('Z', (byte)status);

    public static byte[] Complete(string tag) => Text('C', tag);

    public static byte[] Row(string value) => Write(w => w.WriteDataRow(value));

    public static byte[] RowDescription(string column) => Write(w => w.WriteRowDescription(new ColumnDescription(column, 25, -1)));

    public static byte[] Error(string message, string severity = "ERROR", string sqlState = "42601") =>
        Write(w => w.WriteErrorResponse(severity, sqlState, message));

    public static byte[] Notice(string message) => Write(w => w.WriteNotice("NOTICE", "00000", message));

    /// <summary>What a server says that is shut down at once (57P01), or because another has crashed (57P02).</summary>
    public static byte[] Warning(string message, string sqlState) => [(byte)'N', .. Error(message, "WARNING", sqlState)[1..]];

    public static byte[] Parameter(string name, string value) => Write(w => w.WriteParameterStatus(name, value));

    /// <summary>What PostgreSQL answers to a simple query that returns one row.</summary>
    public static byte[] Answer(string value, char status = 'I') => Join(RowDescription("v"), Row(value), Complete("SELECT 1"), Ready(status));

    /// <summary>The string at the front of a body.</summary>
    public static string ReadText(ReadOnlySpan<byte> body)
    {
        int end = body.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? body : body[..end]);
    }

    private static byte[] Write(Action<MessageWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        write(new MessageWriter(buffer));
        return buffer.WrittenSpan.ToArray();
    }
}
