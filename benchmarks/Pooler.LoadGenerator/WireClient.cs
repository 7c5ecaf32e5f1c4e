using System.Buffers.Binary;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>
/// One connection of the load: logs in, sends prebuilt bytes, walks over the frames that come back without keeping them.
/// Heirs say what happens at ReadyForQuery. A transaction allocates nothing.
/// </summary>
#pragma warning disable CA1001 // TLS ends with the connection: Close.
internal abstract class WireClient(EventLoop loop, LoadTarget target)
{
    private const int ReadsPerTurn = 4;

    private int _fd = -1;
    private bool _connecting, _failed, _waitsForTurn;
    private byte[]? _unsent;
    private int _unsentAt;

    private ulong _header;
    private int _headerBytes, _bodyLeft;
    private byte _type;

    private TlsPeer? _tls;
    private bool _asksForTls;
    private ScramLogin? _scram;

    public uint Generation { get; private set; }

    public bool IsOpen => _fd >= 0;

    public bool IsLoggedIn { get; private set; }

    protected EventLoop Loop => loop;

    public void Start()
    {
        int fd = target.Connect();
        if (fd < 0)
        {
            loop.Failed("connect: " + Syscalls.ErrorText(-fd));
            OnClosed();
            return;
        }

        _fd = fd;
        _connecting = true;
        _failed = IsLoggedIn = false;
        _headerBytes = _bodyLeft = 0;
        _asksForTls = target.UsesTls;
        _scram = target.Password.Length > 0 ? new ScramLogin(target.Password) : null;
        loop.LoginsInFlight++;
        Generation = loop.Register(fd, this);
    }

    /// <summary>Sends Terminate and closes.</summary>
    public void Leave()
    {
        if (IsOpen)
        {
            if (_unsent == null)
            {
                _ = Syscalls.Send(_fd, _tls?.Encrypt(Requests.Terminate) ?? Requests.Terminate);
            }

            Close();
        }
    }

    public void Close()
    {
        if (!IsOpen)
        {
            return;
        }

        loop.LoginsInFlight -= IsLoggedIn ? 0 : 1;
        loop.Close(_fd);
        _fd = -1;
        _unsent = null;
        _tls?.Dispose();
        _tls = null;
    }

    public void OnEvents(uint events)
    {
        const uint end = Syscalls.EPOLLRDHUP | Syscalls.EPOLLHUP | Syscalls.EPOLLERR;
        if (_connecting && (events & (Syscalls.EPOLLOUT | end)) != 0)
        {
            _connecting = false;
            int error = Syscalls.PendingError(_fd);
            if (error != 0)
            {
                Lose("connect: " + Syscalls.ErrorText(error));
                return;
            }

            Send(_asksForTls ? Requests.SslRequest : target.Startup);
        }

        if (_unsent != null && (events & Syscalls.EPOLLOUT) != 0)
        {
            SendRest();
        }

        if ((events & (Syscalls.EPOLLIN | end)) != 0 && IsOpen && !_connecting)
        {
            Receive((events & end) != 0);
        }
    }

    /// <summary>Sends bytes that nobody changes; what the kernel does not take at once follows by itself.</summary>
    protected void Send(byte[] bytes)
    {
        SendRaw(_tls?.Encrypt(bytes) ?? bytes);
    }

    private void SendRaw(byte[] bytes)
    {
        _unsent = bytes;
        _unsentAt = 0;
        SendRest();
    }

    /// <summary>ReadyForQuery after the login.</summary>
    protected abstract void OnLoggedIn();

    /// <summary>ReadyForQuery after a request, which failed if an ErrorResponse came before it.</summary>
    protected abstract void OnReady(bool failed);

    /// <summary>The end of a frame other than ReadyForQuery.</summary>
    protected virtual void OnFrame(byte type)
    {
    }

    protected virtual void OnReceived(int bytes)
    {
    }

    /// <summary>Everything given to <see cref="Send"/> is in the kernel. Returns what is to follow at once, or null.</summary>
    protected virtual byte[]? OnSent() => null;

    /// <summary>The connection failed or the other side closed it.</summary>
    protected virtual void OnClosed()
    {
    }

    private void SendRest()
    {
        while (_unsent != null && IsOpen)
        {
            int result = Syscalls.Send(_fd, _unsent.AsSpan(_unsentAt));
            if (result == -Syscalls.EAGAIN)
            {
                return;
            }

            if (result < 0)
            {
                Lose("send: " + Syscalls.ErrorText(-result));
                return;
            }

            _unsentAt += result;
            if (_unsentAt == _unsent.Length)
            {
                _unsent = OnSent();
                _unsentAt = 0;
            }
        }
    }

    private void Receive(bool hasEnded)
    {
        if (_waitsForTurn)
        {
            return;
        }

        uint generation = Generation;
        for (int reads = 0; reads < ReadsPerTurn; reads++)
        {
            int result = Syscalls.Receive(_fd, loop.ReceiveBuffer);
            if (result <= 0)
            {
                if (result != -Syscalls.EAGAIN)
                {
                    Lose(result == 0 ? "the connection was closed by the other side" : "receive: " + Syscalls.ErrorText(-result));
                }

                return;
            }

            OnReceived(result);
            Take(result, generation);
            if (!IsOpen || Generation != generation || (result < loop.ReceiveBuffer.Length && !hasEnded))
            {
                return;
            }
        }

        _waitsForTurn = true;
        loop.Again(this);
    }

    private void Take(int received, uint generation)
    {
        if (_asksForTls)
        {
            _asksForTls = false;
            if (received != 1 || loop.ReceiveBuffer[0] != 'S')
            {
                throw new LoadException($"{target.Name} does not speak TLS");
            }

            _tls = new TlsPeer();
            SendRaw(_tls.TakeProduced()!);
        }
        else if (_tls == null)
        {
            Walk(loop.ReceiveBuffer.AsSpan(0, received), generation);
        }
        else
        {
            TakeRecords(_tls, received, generation);
        }
    }

    private void TakeRecords(TlsPeer tls, int received, uint generation)
    {
        bool wasUp = tls.IsUp;
        tls.Give(loop.ReceiveBuffer.AsMemory(0, received));
        if (tls.Problem is { } problem)
        {
            Lose("TLS: " + problem);
            return;
        }

        if (!wasUp && tls.IsUp)
        {
            byte[]? rest = tls.TakeProduced();
            SendRaw([.. rest ?? [], .. tls.Encrypt(target.Startup)]);
        }
        else if (tls.TakeProduced() is { } answer)
        {
            SendRaw(answer);
        }

        while (tls.IsUp && IsOpen && Generation == generation && tls.Read(loop.PlainBuffer) is > 0 and int length)
        {
            Walk(loop.PlainBuffer.AsSpan(0, length), generation);
        }
    }

    /// <summary>The turn asked for with <see cref="EventLoop.Again"/>.</summary>
    public void OnTurn()
    {
        _waitsForTurn = false;
        if (IsOpen)
        {
            Receive(hasEnded: true);
        }
    }

    private void Walk(ReadOnlySpan<byte> data, uint generation)
    {
        while (!data.IsEmpty)
        {
            if (_bodyLeft == 0)
            {
                if (_headerBytes == 0 && data.Length >= FrameHeader.Size)
                {
                    Begin(data[0], BinaryPrimitives.ReadInt32BigEndian(data[1..]), ref data, FrameHeader.Size);
                }
                else
                {
                    _header = (_header << 8) | data[0];
                    if (++_headerBytes < FrameHeader.Size)
                    {
                        data = data[1..];
                        continue;
                    }

                    Begin((byte)(_header >> 32), (int)(uint)_header, ref data, 1);
                }
            }

            int part = Math.Min(_bodyLeft, data.Length);
            _bodyLeft -= part;
            data = data[part..];
            if (_bodyLeft == 0)
            {
                EndFrame();
                if (!IsOpen || Generation != generation)
                {
                    return;
                }
            }
        }
    }

    private void Begin(byte type, int length, ref ReadOnlySpan<byte> data, int headerPart)
    {
        _type = type;
        _headerBytes = 0;
        _bodyLeft = Math.Max(length - 4, 0);
        data = data[headerPart..];
        if (type == BackendMessage.ErrorResponse)
        {
            _failed = true;
            var error = ErrorFields.Parse(data[..Math.Min(_bodyLeft, data.Length)]);
            loop.Failed($"{error.SqlState} {error.Message}");
        }
        else if (type == BackendMessage.Authentication && data.Length >= 4 && BinaryPrimitives.ReadInt32BigEndian(data) != 0)
        {
            if (_scram == null || data.Length < _bodyLeft)
            {
                throw new LoadException($"{target.Name} asks for a password: --password");
            }

            if (_scram.Answer(data[.._bodyLeft]) is { } answer)
            {
                Send(answer);
            }
        }
    }

    private void EndFrame()
    {
        if (_type != BackendMessage.ReadyForQuery)
        {
            OnFrame(_type);
        }
        else if (IsLoggedIn)
        {
            bool failed = _failed;
            _failed = false;
            OnReady(failed);
        }
        else
        {
            IsLoggedIn = true;
            loop.LoginsInFlight--;
            OnLoggedIn();
        }
    }

    private void Lose(string why)
    {
        // An error that was told before the end says more than the end itself.
        if (!_failed)
        {
            loop.Failed(why);
        }

        Close();
        OnClosed();
    }
}
