using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>One connection of a server that knows one row: every query, whatever it says, is answered as <c>select 1</c>.</summary>
internal sealed class SyntheticServer
{
    private static readonly SocketOptions s_options = new(KeepAlive: false, 0, 0, 0, 0, 0);

    private static readonly byte[] s_login = Built(static writer =>
    {
        writer.WriteAuthenticationOk();
        ReadOnlySpan<(string Name, string Value)> parameters =
        [
            ("server_version", "15.0 (synthetic)"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"), ("TimeZone", "UTC"), ("integer_datetimes", "on"), ("standard_conforming_strings", "on"),
            ("application_name", ""), ("is_superuser", "on"), ("session_authorization", "postgres"),
        ];
        foreach ((string name, string value) in parameters)
        {
            writer.WriteParameterStatus(name, value);
        }

        writer.WriteBackendKeyData(1, [1, 2, 3, 4]);
        writer.WriteReadyForQuery((byte)'I');
    });

    private static readonly byte[] s_columns = Built(static writer => writer.WriteRowDescription(new ColumnDescription("?column?", 23, 4)));

    private static readonly byte[] s_row = Built(static writer =>
    {
        writer.WriteDataRow("1");
        writer.WriteCommandComplete("SELECT 1");
    });

    private static readonly byte[] s_ready = Built(static writer => writer.WriteReadyForQuery((byte)'I'));
    private static readonly byte[] s_parsed = Built(static writer => writer.WriteParseComplete());
    private static readonly byte[] s_bound = Built(static writer => writer.WriteBindComplete());
    private static readonly byte[] s_closed = Built(static writer => writer.WriteCloseComplete());
    private static readonly byte[] s_query = [.. s_columns, .. s_row, .. s_ready];

    private readonly Connection _connection;
    private bool _isLoggedIn, _hasEnded;

    private SyntheticServer(Connection connection) => _connection = connection;

    /// <summary>Takes over an accepted socket, on its I/O thread.</summary>
    public static void Accept(IoThread thread, int fd)
    {
        s_options.Apply(fd, isUnix: false);
        var connection = new Connection(thread, fd);
        if (connection.Open() >= 0)
        {
            _ = new SyntheticServer(connection).RunAsync();
        }
    }

    private static byte[] Built(Action<MessageWriter> write)
    {
        var bytes = new ArrayBufferWriter<byte>();
        write(new MessageWriter(bytes));
        return bytes.WrittenSpan.ToArray();
    }

    private async Task RunAsync()
    {
        while (!_connection.IsClosed && !_hasEnded)
        {
            ReadResult read = await _connection.Input.ReadAsync();
            _connection.Input.Advance(Answer(_connection.Input.Unread));
            _connection.Outbox.Flush();
            _hasEnded |= read.IsCompleted;
        }

        _connection.Close();
    }

    private int Answer(ReadOnlySpan<byte> data)
    {
        int at = 0;
        if (!_isLoggedIn)
        {
            // Only the startup packet has no type byte; its content does not matter.
            if (data.Length < 4 || data.Length < BinaryPrimitives.ReadInt32BigEndian(data))
            {
                return 0;
            }

            at = BinaryPrimitives.ReadInt32BigEndian(data);
            _isLoggedIn = true;
            _connection.Outbox.Append(s_login);
        }

        while (data.Length - at >= FrameHeader.Size && FrameHeader.FrameLength(data[at..]) is > 0 and long length && length <= data.Length - at)
        {
            _hasEnded |= data[at] == FrontendMessage.Terminate;
            _connection.Outbox.Append(Reply(data[at]));
            at += (int)length;
        }

        return at;
    }

    private static ReadOnlySpan<byte> Reply(byte type) => type switch
    {
        FrontendMessage.Query => s_query,
        FrontendMessage.Parse => s_parsed,
        FrontendMessage.Bind => s_bound,
        FrontendMessage.Describe => s_columns,
        FrontendMessage.Execute => s_row,
        FrontendMessage.Close => s_closed,
        FrontendMessage.Sync => s_ready,
        _ => [],
    };
}
