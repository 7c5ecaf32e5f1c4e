using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>The protocol by hand over a plain socket: every byte sent is the test's own, every message received is seen as it came.</summary>
internal sealed class PgWire : IDisposable
{
    private readonly Socket _socket;
    private CancellationTokenSource _limit = new();
    private byte[] _buffer = new byte[512];
    private int _start;
    private int _end;

    private PgWire(Socket socket) => _socket = socket;

    /// <summary>From BackendKeyData, after LoginAsync.</summary>
    public int ProcessId { get; private set; }

    public int Secret { get; private set; }

    /// <summary>The whole body of BackendKeyData, as a CancelRequest repeats it.</summary>
    public byte[] Key { get; private set; } = [];

    /// <summary>How long one read may take; a hung pooler fails the test that met it.</summary>
    public TimeSpan ReadLimit { get; set; } = Patience.Default;

    /// <summary>Our own address.</summary>
    public EndPoint LocalEndPoint => _socket.LocalEndPoint!;

    /// <param name="from">Our own address; left out: any.</param>
    public static async Task<PgWire> ConnectAsync(EndPoint endPoint, EndPoint? from = null)
    {
        bool tcp = endPoint.AddressFamily != AddressFamily.Unix;
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, tcp ? ProtocolType.Tcp : ProtocolType.Unspecified);
        try
        {
            if (tcp)
                socket.NoDelay = true;
            if (from is not null)
                socket.Bind(from);
            await socket.ConnectAsync(endPoint);
            return new PgWire(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Startup without a password, up to the first ReadyForQuery.</summary>
    public Task<PgReply> LoginAsync(string database, string user, params (string Name, string Value)[] more) =>
        LoginAsync(PgRequest.Protocol30, database, user, more);

    public async Task<PgReply> LoginAsync(int protocol, string database, string user, params (string Name, string Value)[] more)
    {
        await SendAsync(PgRequest.Startup(protocol, [("user", user), ("database", database), .. more]));
        PgReply reply = await ReadReplyAsync();
        foreach (PgMessage message in reply.Messages.Where(static message => message.Type == 'K'))
        {
            Key = message.Body;
            ProcessId = BinaryPrimitives.ReadInt32BigEndian(message.Body);
            Secret = BinaryPrimitives.ReadInt32BigEndian(message.Body.AsSpan(4));
        }

        return reply;
    }

    public async ValueTask SendAsync(ReadOnlyMemory<byte> bytes)
    {
        CancellationToken limit = StartLimit();
        while (bytes.Length > 0)
        {
            try
            {
                bytes = bytes[await _socket.SendAsync(bytes, limit)..];
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"nothing was taken from us for {ReadLimit.TotalSeconds:0} s");
            }

            limit = StartLimit();
        }
    }

    public ValueTask SendAsync(PgRequest request) => SendAsync(request.ToArray());

    public async Task<PgReply> QueryAsync(string sql)
    {
        await SendAsync(new PgRequest().Query(sql));
        return await ReadReplyAsync();
    }

    /// <summary>Messages up to and with ReadyForQuery. The end of the stream before it is an EndOfStreamException that tells what came.</summary>
    public async Task<PgReply> ReadReplyAsync()
    {
        var messages = new List<PgMessage>();
        while (true)
        {
            if (await ReadAsync() is not { } message)
                throw new EndOfStreamException($"closed after: {new PgReply(messages)}");
            messages.Add(message);
            if (message.Type == 'Z')
                return new PgReply(messages);
        }
    }

    /// <summary>Everything until the other side closes.</summary>
    public async Task<List<PgMessage>> ReadToEndAsync()
    {
        var messages = new List<PgMessage>();
        while (await ReadAsync() is { } message)
            messages.Add(message);
        return messages;
    }

    /// <summary>The next message, or null when the other side has closed or reset the connection.</summary>
    public async ValueTask<PgMessage?> ReadAsync()
    {
        if (await ReadHeaderAsync() is not var (type, length))
            return null;
        byte[] body = new byte[length];
        int copied = 0;
        while (copied < length)
        {
            if (_start == _end && !await FillAsync(1))
                return null;
            int part = Math.Min(length - copied, _end - _start);
            _buffer.AsSpan(_start, part).CopyTo(body.AsSpan(copied));
            _start += part;
            copied += part;
        }

        return new PgMessage(type, body);
    }

    /// <summary>Type and body length of the next message; its body follows by SkipAsync.</summary>
    public async ValueTask<(char Type, int Length)?> ReadHeaderAsync()
    {
        if (!await FillAsync(5))
            return null;
        var header = ((char)_buffer[_start], BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start + 1)) - 4);
        _start += 5;
        return header;
    }

    /// <summary>Passes over bytes without keeping them; false at the end of the stream. All must be the expected byte, if one is given.</summary>
    public async ValueTask<bool> SkipAsync(long count, byte? expected = null)
    {
        while (count > 0)
        {
            if (_start == _end)
            {
                if (_buffer.Length < 65536)
                    _buffer = new byte[65536];
                _start = _end = 0;
                if (!await FillAsync(1))
                    return false;
            }

            int part = (int)Math.Min(count, _end - _start);
            if (expected is { } value && _buffer.AsSpan(_start, part).ContainsAnyExcept(value))
                throw new InvalidDataException("a byte of the value is not as it was sent");
            _start += part;
            count -= part;
        }

        return true;
    }

    /// <summary>One byte outside any message: the answer to an SSLRequest.</summary>
    public async ValueTask<char?> ReadByteAsync() => await FillAsync(1) ? (char)_buffer[_start++] : null;

    public async ValueTask<char?> PeekByteAsync() => await FillAsync(1) ? (char)_buffer[_start] : null;

    /// <summary>Closes at once; what was not read yet makes it a reset, as when a program dies.</summary>
    public void Dispose()
    {
        _socket.Dispose();
        _limit.Dispose();
    }

    private async ValueTask<bool> FillAsync(int count)
    {
        while (_end - _start < count)
        {
            if (_start > 0)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                _end -= _start;
                _start = 0;
            }

            if (_end == _buffer.Length)
                Array.Resize(ref _buffer, Math.Min(_buffer.Length * 4, 65536));
            int read;
            try
            {
                read = await _socket.ReceiveAsync(_buffer.AsMemory(_end), StartLimit());
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"nothing came for {ReadLimit.TotalSeconds:0} s");
            }
            catch (SocketException fault) when (fault.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                return false;
            }

            if (read == 0)
                return false;
            _end += read;
        }

        if (_end == _buffer.Length && _buffer.Length < 65536)
            Array.Resize(ref _buffer, _buffer.Length * 4);
        return true;
    }

    private CancellationToken StartLimit()
    {
        if (!_limit.TryReset())
        {
            _limit.Dispose();
            _limit = new CancellationTokenSource();
        }

        _limit.CancelAfter(ReadLimit);
        return _limit.Token;
    }
}
