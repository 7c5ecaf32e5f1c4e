using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// Sends one CancelRequest on a connection of its own and reports when that connection has ended: only then is the cancel
/// known to hit nothing later (PostgreSQL closes it after the signal was sent).
/// </summary>
internal sealed class CancelSender
{
    private readonly IoThread _thread;
    private readonly ServerTarget _target;
    private readonly int _processId;
    private readonly byte[] _secret;
    private readonly Action<bool> _ended;
    private readonly DeadlineTimer _deadline;
    private Connection? _socket;
    private bool _closing;

    private CancelSender(ServerConnection server, Action<bool> ended)
    {
        _thread = server.Thread;
        _target = server.Target;
        _processId = server.ProcessId;
        _secret = server.CancelSecret;
        _ended = ended;
        _deadline = new DeadlineTimer(this);
    }

    /// <summary>Cancels what runs on a server. <paramref name="ended"/> gets whether the request was delivered.</summary>
    public static void Send(ServerConnection server, TimeSpan timeout, Action<bool> ended)
    {
        var sender = new CancelSender(server, ended);
        sender._thread.Wheel.Set(sender._deadline, sender._thread.Now + (long)timeout.TotalMicroseconds);
        _ = sender.RunAsync();
    }

    private async Task RunAsync()
    {
        bool delivered = false;
        try
        {
            delivered = await DeliverAsync();
        }
        catch (IOException)
        {
            // The name service does not answer: the caller falls back to closing the server.
        }

        _thread.Wheel.Clear(_deadline);
        _socket?.Close();
        _socket?.Input.Complete();
        _ended(delivered);
    }

    private async ValueTask<bool> DeliverAsync()
    {
        System.Net.SocketAddress address = _target.LiteralAddress ?? await Offload.Run(_thread, ServerTarget.Resolve, _target);
        _socket = _closing ? null : Connection.Connect(_thread, address, _target.Options, out _);
        if (_socket == null)
        {
            return false;
        }

        while (_socket is { IsConnecting: true, IsClosed: false, Error: 0 })
        {
            await _socket.Input.ParkAsync();
        }

        if (_socket.IsClosed || _socket.Error != 0)
        {
            return false;
        }

        new MessageWriter(_socket.Outbox).WriteCancelRequest(_processId, _secret);
        _socket.Outbox.Flush();
        while (!_socket.Input.IsEnded)
        {
            await _socket.Input.ReadAsync();
            _socket.Input.Advance(_socket.Input.UnreadLength);
        }

        return !_closing;
    }

    private sealed class DeadlineTimer(CancelSender sender) : WheelTimer
    {
        internal override void Expired()
        {
            sender._closing = true;
            sender._socket?.Close();
        }
    }
}
