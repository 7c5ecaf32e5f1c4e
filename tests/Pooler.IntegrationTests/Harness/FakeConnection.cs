using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>One connection to a <see cref="FakeServer"/>, with the words of a PostgreSQL server.</summary>
internal sealed class FakeConnection(Socket socket, int number) : IDisposable
{
    private readonly NetworkStream _stream = new(socket, ownsSocket: true);

    /// <summary>1 for the first connection of the server.</summary>
    public int Number => number;

    public void Dispose() => _stream.Dispose();

    /// <summary>The startup packet, behind an SSLRequest that is declined; as the bytes after its length word.</summary>
    public async Task<byte[]> ReadStartupAsync()
    {
        while (true)
        {
            byte[] body = await ReadUntypedAsync();
            if (BinaryPrimitives.ReadInt32BigEndian(body) != PgRequest.SslCode)
                return body;
            await _stream.WriteAsync("N"u8.ToArray());
        }
    }

    public async Task<PgMessage> ReadAsync()
    {
        byte[] header = await ReadExactlyAsync(5);
        return new PgMessage((char)header[0], await ReadExactlyAsync(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(1)) - 4));
    }

    public Task SendAsync(PgRequest messages) => SendAsync(messages.ToArray());

    public Task SendAsync(byte[] bytes) => _stream.WriteAsync(bytes).AsTask();

    /// <summary>Says no more, and goes on listening.</summary>
    public void HalfClose() => socket.Shutdown(SocketShutdown.Send);

    /// <summary>Reads and forgets all that comes, until the other side leaves.</summary>
    public async Task ReadToEndAsync()
    {
        byte[] buffer = new byte[65536];
        while (await _stream.ReadAsync(buffer) > 0)
        {
        }
    }

    public static PgRequest Authentication(int code, params byte[] data) => new PgRequest().Message('R', body =>
    {
        PgRequest.WriteInt32(body, code);
        foreach (byte value in data)
            PgRequest.WriteByte(body, value);
    });

    public static PgRequest Error(string severity, string sqlState, string message) => new PgRequest().Message('E', body =>
    {
        foreach (string field in (string[])["S" + severity, "V" + severity, "C" + sqlState, "M" + message])
            PgRequest.WriteText(body, field);
        PgRequest.WriteByte(body, 0);
    });

    /// <summary>All that follows a proof of identity: parameters, a key, ready.</summary>
    public static PgRequest Welcome() => Welcome([0, 0, 0, 1, 0, 0, 0, 2]);

    /// <summary>With this body of BackendKeyData.</summary>
    public static PgRequest Welcome(byte[] key) => WithStatus(Authentication(0), ("server_version", "15.0"), ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"), ("IntervalStyle", "postgres"), ("standard_conforming_strings", "on"), ("application_name", ""))
        .Message('K', body => body.Write(key))
        .Message('Z', static body => PgRequest.WriteByte(body, (byte)'I'));

    /// <summary>Passes everything on to a real server and back, until one side leaves; from a moment on it can go silent instead.</summary>
    public Task RelayAsync(int port, Task? silent = null)
    {
        return RelayAsync(port, PassAsync, PassAsync);

        async Task<bool> PassAsync(NetworkStream to, Memory<byte> bytes)
        {
            if (silent is not { IsCompleted: true })
                await to.WriteAsync(bytes);
            return true;
        }
    }

    /// <summary>What a relay does to bytes on their way; returns how many of them go on: fewer than all is the end.</summary>
    public delegate int Tamper(Span<byte> bytes);

    /// <summary>Passes on what the test makes of it.</summary>
    public Task RelayChangedAsync(int port, Tamper fromServer, Tamper? toServer = null)
    {
        return RelayAsync(port, (to, bytes) => PassAsync(to, bytes, toServer ?? (static all => all.Length)), (to, bytes) => PassAsync(to, bytes, fromServer));

        static async Task<bool> PassAsync(NetworkStream to, Memory<byte> bytes, Tamper tamper)
        {
            int passed = tamper(bytes.Span);
            await to.WriteAsync(bytes[..passed]);
            return passed == bytes.Length;
        }
    }

    /// <summary>Passes on everything, so many bytes at a time.</summary>
    public Task RelayInPiecesAsync(int port, int piece)
    {
        return RelayAsync(port, PassAsync, PassAsync);

        async Task<bool> PassAsync(NetworkStream to, Memory<byte> bytes)
        {
            for (int at = 0; at < bytes.Length; at += piece)
                await to.WriteAsync(bytes[at..Math.Min(at + piece, bytes.Length)]);
            return true;
        }
    }

    /// <summary>One packet without a type, SSLRequest among them; as the bytes after its length word.</summary>
    public async Task<byte[]> ReadUntypedAsync() => await ReadExactlyAsync(BinaryPrimitives.ReadInt32BigEndian(await ReadExactlyAsync(4)) - 4);

    /// <summary>Whatever comes next.</summary>
    public async Task ReadSomeAsync() => _ = await _stream.ReadAsync(new byte[4096]);

    /// <summary>Whatever comes from one side is handed on to the other, until one says that it ends there, or leaves.</summary>
    private async Task RelayAsync(int port, Func<NetworkStream, Memory<byte>, Task<bool>> toServer, Func<NetworkStream, Memory<byte>, Task<bool>> fromServer)
    {
        using var server = new TcpClient { NoDelay = true };
        await server.ConnectAsync(IPAddress.Loopback, port);
        NetworkStream other = server.GetStream();
        await Task.WhenAny(CopyAsync(_stream, other, toServer), CopyAsync(other, _stream, fromServer));

        static async Task CopyAsync(NetworkStream from, NetworkStream to, Func<NetworkStream, Memory<byte>, Task<bool>> pass)
        {
            byte[] buffer = new byte[65536];
            try
            {
                while (await from.ReadAsync(buffer) is var count and > 0 && await pass(to, buffer.AsMemory(0, count)))
                {
                }
            }
            catch (Exception fault) when (fault is IOException or ObjectDisposedException)
            {
                // One side has left, so the other is closed too.
            }
        }
    }

    private static PgRequest WithStatus(PgRequest messages, params (string Name, string Value)[] parameters)
    {
        foreach ((string name, string value) in parameters)
        {
            messages.Message('S', body =>
            {
                PgRequest.WriteText(body, name);
                PgRequest.WriteText(body, value);
            });
        }

        return messages;
    }

    private async Task<byte[]> ReadExactlyAsync(int count)
    {
        byte[] bytes = new byte[count];
        await _stream.ReadExactlyAsync(bytes);
        return bytes;
    }
}
