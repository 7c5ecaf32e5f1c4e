using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// Sends one CancelRequest on a connection of its own. Until that connection has ended the cancel may still hit something later
/// (PostgreSQL closes it after the signal was sent), so the server is in nobody else's hands before (architecture rule 3).
/// </summary>
internal sealed class CancelSender
{
    private readonly ServerConnection _server;
    private readonly IoThread _thread;
    private readonly Func<bool> _isWanted;
    private readonly Action _ended;
    private readonly DeadlineTimer _deadline;
    private Connection? _socket;
    private bool _isLate, _isSent;

    private CancelSender(ServerConnection server, Func<bool> isWanted, Action ended)
    {
        _server = server;
        _thread = server.Thread;
        _isWanted = isWanted;
        _ended = ended;
        _deadline = new DeadlineTimer(this);
    }

    /// <summary>
    /// Cancels what runs on a server. <paramref name="isWanted"/> is asked again when the connection stands: what has ended
    /// meanwhile needs no cancel. <paramref name="ended"/> is called once, before the owner's <see cref="ServerOwner.CancelEnded"/>.
    /// </summary>
    public static void Send(ServerConnection server, TimeSpan timeout, Func<bool> isWanted, Action ended)
    {
        var sender = new CancelSender(server, isWanted, ended);
        server.CancelsInFlight++;
        if (timeout > TimeSpan.Zero)
        {
            sender._thread.Wheel.Set(sender._deadline, sender._thread.Now + (long)timeout.TotalMicroseconds);
        }

        _ = sender.RunAsync();
    }

    private async Task RunAsync()
    {
        try
        {
            await DeliverAsync();
        }
        catch (IOException)
        {
            // The name service does not answer: nothing was sent.
        }
        catch (Exception e)
        {
            IoThread.Defect($"Cancel: {e}");
        }

        _thread.Wheel.Clear(_deadline);

        // It was sent and nobody saw it through: whoever uses this server next might be hit.
        _server.IsCancelDoubtful |= _isSent && (_isLate || _socket!.Error != 0);
        _socket?.Close();
        _socket?.Input.Complete();
        _server.CancelsInFlight--;
        _ended();
        if (!_server.IsClosed)
        {
            _server.Owner.CancelEnded(_server);
        }
    }

    private async ValueTask DeliverAsync()
    {
        if (_server.CancelSecret.Length == 0)
        {
            return; // It gave no BackendKeyData: its queries cannot be cancelled.
        }

        // The address that it was connected to: its name may stand for another host by now.
        _socket = _isLate ? null : Connection.Connect(_thread, _server.Address!, _server.Target.Options, out _);
        if (_socket == null)
        {
            return;
        }

        while (_socket is { IsConnecting: true, IsClosed: false, Error: 0 })
        {
            await _socket.Input.ParkAsync();
        }

        // As its connection: the key is a secret.
        if (_socket.IsClosed || _socket.Error != 0 || await new ServerEncryption(_server.Target, _server.Host).BeginAsync(_socket) != null
            || _socket.IsClosed || !_isWanted())
        {
            return;
        }

        _isSent = true;
        new MessageWriter(_socket.Outbox).WriteCancelRequest(_server.ProcessId, _server.CancelSecret);
        _socket.Outbox.Flush();
        while (!_socket.Input.IsEnded)
        {
            await _socket.Input.WaitAsync();
            _socket.Input.Advance(_socket.Input.UnreadLength);
        }
    }

    private sealed class DeadlineTimer(CancelSender sender) : WheelTimer
    {
        internal override void Expired()
        {
            sender._isLate = true;
            sender._socket?.Close();
        }
    }
}
