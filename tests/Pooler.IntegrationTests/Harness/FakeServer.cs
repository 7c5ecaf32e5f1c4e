using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Stands where PostgreSQL should be: accepts connections, and does with each what the test says.</summary>
internal sealed class FakeServer : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly Func<FakeConnection, Task> _serve;
    private readonly ConcurrentDictionary<FakeConnection, Task> _connections = [];
    private readonly ConcurrentQueue<Exception> _faults = [];
    private readonly TaskCompletionSource _stopped = new();
    private readonly Task _accepting;
    private int _accepted;

    public FakeServer(Func<FakeConnection, Task> serve, int? port = null)
    {
        _serve = serve;
        Port = port ?? FreePort.Next();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Server.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>Connections so far.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>A server that only passes everything on to a real one.</summary>
    public static FakeServer Relay(PostgresCluster postgres, int? port = null) => new(connection => connection.RelayAsync(postgres.Port), port);

    /// <summary>Stops to listen and cuts every connection, as a machine that goes down.</summary>
    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        _stopped.TrySetResult();
        await _accepting;
        foreach (FakeConnection connection in _connections.Keys)
            connection.Dispose();
        await Task.WhenAll(_connections.Values);
        if (_faults.TryDequeue(out Exception? fault))
            throw new InvalidOperationException("the fake server did not do what it was told", fault);
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptSocketAsync();
            }
            catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
            {
                return;
            }

            socket.NoDelay = true;
            var connection = new FakeConnection(socket, Interlocked.Increment(ref _accepted));
            _connections[connection] = ServeAsync(connection);
        }
    }

    private async Task ServeAsync(FakeConnection connection)
    {
        await Task.Yield();
        try
        {
            await await Task.WhenAny(_serve(connection), _stopped.Task);
        }
        catch (Exception fault) when (fault is IOException or SocketException or ObjectDisposedException)
        {
            // The other side has left.
        }
        catch (Exception fault)
        {
            _faults.Enqueue(fault);
        }
        finally
        {
            connection.Dispose();
        }
    }
}
