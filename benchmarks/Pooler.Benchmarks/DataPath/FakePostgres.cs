using System.Buffers;
using System.Net.Sockets;
using Pooler.Protocol;

namespace Pooler.Benchmarks.DataPath;

/// <summary>
/// A server on a Unix socket that lets everybody in and answers every request with the same row. Each connection has a thread,
/// and a request allocates nothing, so what is measured beside it is the pooler's.
/// </summary>
internal sealed class FakePostgres : IDisposable
{
    public const int Port = 5432;

    private static readonly byte[] s_login = Bytes(static writer =>
    {
        writer.WriteAuthenticationOk();
        writer.WriteParameterStatus("server_version", "18.0");
        writer.WriteParameterStatus("client_encoding", "UTF8");
        writer.WriteParameterStatus("standard_conforming_strings", "on");
        writer.WriteBackendKeyData(1, [1, 2, 3, 4]);
        writer.WriteReadyForQuery((byte)'I');
    });

    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Socket> _servers = [];

    public FakePostgres(string folder)
    {
        _listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(folder, $".s.PGSQL.{Port}")));
        _listener.Listen();
        new Thread(AcceptAll) { IsBackground = true }.Start();
    }

    /// <summary>What a Query is answered with.</summary>
    public static byte[] QueryReply { get; } = Bytes(Row);

    /// <summary>What Bind, Describe, Execute and Sync are answered with.</summary>
    public static byte[] PreparedReply { get; } = Bytes(static writer =>
    {
        writer.WriteBindComplete();
        Row(writer);
    });

    /// <summary>What a Parse and Sync are answered with.</summary>
    public static byte[] ParseReply { get; } = Bytes(static writer =>
    {
        writer.WriteParseComplete();
        writer.WriteReadyForQuery((byte)'I');
    });

    /// <summary>What Parse, Bind, Describe, Execute and Sync are answered with.</summary>
    public static byte[] ExtendedReply { get; } = Bytes(static writer =>
    {
        writer.WriteParseComplete();
        writer.WriteBindComplete();
        Row(writer);
    });

    public void Dispose()
    {
        _listener.Dispose();
        lock (_servers)
        {
            _servers.ForEach(static server => server.Dispose());
        }
    }

    private static void Row(MessageWriter writer)
    {
        writer.WriteRowDescription(new ColumnDescription("?column?", 23, 4));
        writer.WriteDataRow("1");
        writer.WriteCommandComplete("SELECT 1");
        writer.WriteReadyForQuery((byte)'I');
    }

    private static byte[] Bytes(Action<MessageWriter> write)
    {
        var output = new ArrayBufferWriter<byte>();
        write(new MessageWriter(output));
        return output.WrittenSpan.ToArray();
    }

    private void AcceptAll()
    {
        try
        {
            while (true)
            {
                Socket server = _listener.Accept();
                lock (_servers)
                {
                    _servers.Add(server);
                }

                new Thread(() => Serve(server)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The benchmark is over.
        }
    }

    private static void Serve(Socket server)
    {
        byte[] buffer = new byte[16 * 1024];
        try
        {
            _ = server.Receive(buffer);
            server.Send(s_login);
            for (int have = 0, read; (read = server.Receive(buffer.AsSpan(have))) > 0;)
            {
                have += read;
                int used = Answer(server, buffer.AsSpan(0, have));
                buffer.AsSpan(used, have - used).CopyTo(buffer);
                have -= used;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The benchmark is over.
        }
    }

    /// <summary>Answers whole messages; returns the bytes used up.</summary>
    private static int Answer(Socket server, ReadOnlySpan<byte> data)
    {
        int used = 0;
        bool parses = false, binds = false;
        while (data.Length - used >= FrameHeader.Size)
        {
            int length = (int)FrameHeader.FrameLength(data[used..]);
            if (data.Length - used < length)
            {
                break;
            }

            switch (data[used])
            {
                case FrontendMessage.Query:
                    server.Send(QueryReply);
                    break;
                case FrontendMessage.Parse:
                    parses = true;
                    break;
                case FrontendMessage.Bind:
                    binds = true;
                    break;
                case FrontendMessage.Sync:
                    server.Send(!binds ? ParseReply : parses ? ExtendedReply : PreparedReply);
                    parses = binds = false;
                    break;
            }

            used += length;
        }

        return used;
    }
}
