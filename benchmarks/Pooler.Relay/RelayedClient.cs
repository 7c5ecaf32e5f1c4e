using System.IO.Pipelines;
using System.Net;
using Pooler.Net;

namespace Pooler.Relay;

/// <summary>A client and the server connection opened for it: two loops, each copying one direction until its end.</summary>
internal sealed class RelayedClient
{
    private static readonly SocketOptions s_options = new(KeepAlive: false, 0, 0, 0, 0, 0);

    private readonly Connection _client, _server;

    private RelayedClient(Connection client, Connection server)
    {
        _client = client;
        _server = server;
    }

    /// <summary>Takes over an accepted socket, on its I/O thread.</summary>
    public static void Accept(IoThread thread, int fd, SocketAddress target)
    {
        s_options.Apply(fd, isUnix: false);
        var client = new Connection(thread, fd);
        if (client.Open() < 0)
        {
            return;
        }

        var server = Connection.Connect(thread, target, s_options, out int error);
        if (server == null)
        {
            Console.Error.WriteLine("connect: " + Syscalls.ErrorText(error));
            client.Close();
            return;
        }

        _ = new RelayedClient(client, server).RunAsync();
    }

    private async Task RunAsync()
    {
        while (_server.IsConnecting && !_server.Input.IsEnded)
        {
            await _server.Input.ParkAsync();
        }

        _ = CopyAsync(_server, _client);
        await CopyAsync(_client, _server);
    }

    /// <summary>An end on either side ends both.</summary>
    private static async Task CopyAsync(Connection from, Connection to)
    {
        while (!from.IsClosed && !to.IsClosed)
        {
            ReadResult read = await from.Input.ReadAsync();
            if (from.Input.UnreadLength > 0)
            {
                to.Outbox.Send(from.Input.Unread);
                from.Input.Advance(from.Input.UnreadLength);
            }
            else if (read.IsCompleted)
            {
                break;
            }

            // Not read on before the other side has taken it.
            while (to.Outbox.Pending > 0 && !from.IsClosed && !to.IsClosed)
            {
                to.Outbox.WakeWhenDrained(from.Input);
                await from.Input.ParkAsync();
            }
        }

        from.Close();
        to.Close();
    }
}
