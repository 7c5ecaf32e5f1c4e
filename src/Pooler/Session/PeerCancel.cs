using System.Net;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>
/// One cancel request on its way to a peer, on a connection of its own. One deadline (cancel_wait_timeout) for all of it: its place among
/// others, the peer's name, the connect, and the peer's end of the connection, which says that all was done.
/// </summary>
internal sealed class PeerCancel(IoThread thread, HostNames names, PoolerConfig config, PeerConfig peer, int processId, byte[] secret, Action done) : WheelTimer
{
    // cancel_wait_timeout's default, where neither it nor server_connect_timeout sets a limit: no wait is for ever.
    private const long LongestMicroseconds = 10_000_000;

    private Question<NameAnswer>? _question;
    private Connection? _socket;

    public PeerPool Pool { get; set; } = null!;

    public PeerCancelState State { get; private set; }

    /// <summary>Its time begins.</summary>
    public void ArmDeadline()
    {
        TimeSpan limit = config.Get(Settings.CancelWaitTimeout) is { Ticks: > 0 } wait ? wait : config.Get(Settings.ServerConnectTimeout);
        thread.Wheel.Set(this, thread.Now + (limit > TimeSpan.Zero ? (long)limit.TotalMicroseconds : LongestMicroseconds));
    }

    public void Start()
    {
        Become(PeerCancelState.Connecting);
        _ = RunAsync();
    }

    /// <summary>Whatever has become of it, whoever sent it is told that it is over.</summary>
    public void End()
    {
        if (State != PeerCancelState.Ended)
        {
            thread.Wheel.Clear(this);
            done();
            Become(PeerCancelState.Ended);
        }
    }

    internal override void Expired()
    {
        End();
        _question?.GiveUp(NameAnswer.GivenUp);
        _socket?.Close();
    }

    private async Task RunAsync()
    {
        try
        {
            foreach (SocketAddress address in await FindAddressesAsync())
            {
                if (State == PeerCancelState.Connecting && await ConnectAsync(address))
                {
                    await SendAsync();
                    break;
                }
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Cancel for a peer: {e}");
        }

        _socket?.Close();
        _socket?.Input.Complete();
        End();
    }

    private async ValueTask<SocketAddress[]> FindAddressesAsync()
    {
        string directory = config.Get(Settings.UnixSocketDir) is { Length: > 0 } own ? own : "/tmp";
        if (ServerTarget.LiteralAddress(peer.Host, directory) is { } literal)
        {
            return [literal];
        }

        _question = new Question<NameAnswer>(thread);
        NameAnswer answer = await _question.AskAsync(done => names.Ask(peer.Host.Name, done));
        _question = null;
        return [.. answer.Addresses.Select(address => new IPEndPoint(address, peer.Host.Port).Serialize())];
    }

    private async ValueTask<bool> ConnectAsync(SocketAddress address)
    {
        _socket?.Close();
        _socket?.Input.Complete();
        _socket = Connection.Connect(thread, address, PoolSource.SocketOptionsOf(config), out _);
        while (_socket is { IsConnecting: true, IsClosed: false, Error: 0 })
        {
            await _socket.Input.ParkAsync();
        }

        return _socket is { IsClosed: false, Error: 0 };
    }

    private async ValueTask SendAsync()
    {
        Become(PeerCancelState.Sent);
        new MessageWriter(_socket!.Outbox).WriteCancelRequest(processId, secret);
        _socket.Outbox.Flush();
        while (!_socket.Input.IsEnded)
        {
            await _socket.Input.WaitAsync();
            _socket.Input.Advance(_socket.Input.UnreadLength);
        }
    }

    private void Become(PeerCancelState state)
    {
        PeerCancelState before = State;
        State = state;
        Pool.Changed(before, state);
    }
}
