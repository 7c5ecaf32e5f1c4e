using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>One end of a connection as a blocking socket with a deadline: sends bytes, expects bytes.</summary>
internal sealed class RawPeer(Socket socket) : IDisposable
{
    /// <summary>How long anything may take before a test fails.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public static RawPeer Connect(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(System.Net.IPAddress.Loopback, port);
        return new RawPeer(Prepare(socket));
    }

    public static Socket Prepare(Socket socket)
    {
        socket.NoDelay = true;
        socket.ReceiveTimeout = socket.SendTimeout = (int)Patience.TotalMilliseconds;
        return socket;
    }

    public int Available => socket.Available;

    /// <summary>The peer has sent something, or has ended its side.</summary>
    public bool IsReadable => socket.Poll(0, SelectMode.SelectRead);

    public void Send(params ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            data = data[socket.Send(data)..];
        }
    }

    /// <summary>Exactly so many bytes.</summary>
    public byte[] Receive(int count)
    {
        byte[] data = new byte[count];
        for (int at = 0; at < count;)
        {
            int read = socket.Receive(data.AsSpan(at));
            if (read == 0)
            {
                throw new EndOfStreamException($"ended after {at} of {count} bytes: {Show(data.AsSpan(0, at))}");
            }

            at += read;
        }

        return data;
    }

    public byte[] ReceiveFrame()
    {
        byte[] head = Receive(5);
        return [.. head, .. Receive(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(1)) - 4)];
    }

    /// <summary>The same, but the first byte may take its own time.</summary>
    public byte[] ReceiveFrame(TimeSpan patience)
    {
        if (!socket.Poll(patience, SelectMode.SelectRead))
        {
            throw new EndOfStreamException("nothing came");
        }

        return ReceiveFrame();
    }

    public void Expect(params ReadOnlySpan<byte> data)
    {
        byte[] got = Receive(data.Length);
        if (!data.SequenceEqual(got))
        {
            Assert.Fail($"expected {Show(data)}{Environment.NewLine}received {Show(got)}");
        }
    }

    /// <summary>An error that Pooler itself has made: by its SQLSTATE and message; where it is found in the log is said behind them.</summary>
    public void ExpectError(string sqlState, string message)
    {
        ErrorFields error = ErrorFields.Parse(ReceiveFrame().AsSpan(5));
        Assert.Equal((sqlState, message), (error.SqlState, error.Message));
        Assert.Contains("In the log: C-0x", error.Detail, StringComparison.Ordinal);
    }

    /// <summary>Everything up to the end of the stream; a reset counts as the end.</summary>
    public byte[] ReceiveToEnd()
    {
        var data = new MemoryStream();
        byte[] buffer = new byte[16384];
        try
        {
            for (int read; (read = socket.Receive(buffer)) > 0;)
            {
                data.Write(buffer, 0, read);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
        }

        return data.ToArray();
    }

    /// <summary>Ends our side; the other may still send.</summary>
    public void EndSending() => socket.Shutdown(SocketShutdown.Send);

    public void Dispose() => socket.Dispose();

    public static string Show(ReadOnlySpan<byte> data) =>
        Encoding.Latin1.GetString(data[..Math.Min(data.Length, 400)]).Replace('\0', '.') + (data.Length > 400 ? $"… ({data.Length} bytes)" : "");
}
