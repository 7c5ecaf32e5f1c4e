using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// The network in front of a host: passes bytes on, or stops to (a partition: nothing is lost, nothing arrives), or cuts every
/// connection and lets none through.
/// </summary>
internal sealed class HostGate : IAsyncDisposable
{
    private readonly int _port;
    private readonly TcpListener _listener;
    private readonly ConcurrentDictionary<Socket, bool> _sockets = [];
    private readonly ConcurrentBag<Task> _served = [];
    private readonly CancellationTokenSource _end = new();
    private readonly Task _accepting;
    private volatile TaskCompletionSource? _silence;
    private volatile bool _isCut;

    public HostGate(int port)
    {
        _port = port;
        Port = FreePort.Next();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>What is sent from now on arrives when it is healed.</summary>
    public void Silence() => _silence ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Every connection is reset, and new ones as soon as they are made.</summary>
    public void Cut()
    {
        _isCut = true;
        foreach (Socket socket in _sockets.Keys)
            Reset(socket);
    }

    public void Heal()
    {
        _isCut = false;
        Interlocked.Exchange(ref _silence!, null)?.SetResult();
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Stop();
        await _accepting;
        foreach (Socket socket in _sockets.Keys)
            socket.Dispose();
        await Task.WhenAll(_served);
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
        }
        catch (ObjectDisposedException)
        {
            return; // It has ended by itself.
        }

        socket.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                _served.Add(ServeAsync(await _listener.AcceptSocketAsync()));
            }
            catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        await Task.Yield();
        using var host = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _sockets[client] = _sockets[host] = true;
        try
        {
            client.NoDelay = host.NoDelay = true;
            await PassAsync();
            await host.ConnectAsync(IPAddress.Loopback, _port, _end.Token);
            await Task.WhenAny(CopyAsync(client, host), CopyAsync(host, client));
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The host is down, or the gate.
        }
        finally
        {
            _sockets.TryRemove(client, out _);
            _sockets.TryRemove(host, out _);
            client.Dispose();
        }
    }

    private async Task CopyAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[65536];
        try
        {
            while (await from.ReceiveAsync(buffer, _end.Token) is var count and > 0)
            {
                await PassAsync();
                for (int sent = 0; sent < count;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), _end.Token);
            }

            await PassAsync(); // That a side has left is not seen either.
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // One side has left, so the other is closed too.
        }
    }

    private async Task PassAsync()
    {
        while (_silence is { } silence)
            await silence.Task.WaitAsync(_end.Token);
        if (_isCut)
            throw new SocketException((int)SocketError.ConnectionReset);
    }
}
