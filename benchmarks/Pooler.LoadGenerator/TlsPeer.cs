using System.Buffers;
using System.Net.Security;
using System.Threading.Tasks.Sources;

#pragma warning disable CA2012 // Each is looked at until it is there, and taken once.
#pragma warning disable CA5359 // The load believes everybody.

namespace Pooler.LoadGenerator;

/// <summary>
/// The TLS side of one client of the load: bytes in, bytes out, no socket. An SslStream over a stream that is fed by hand; certificates
/// are not looked at.
/// </summary>
internal sealed class TlsPeer : Stream, IValueTaskSource<int>
{
    private static readonly SslClientAuthenticationOptions s_options = new()
    {
        TargetHost = "localhost",
        AllowTlsResume = false, // Every login is one of a client that was never here.
        RemoteCertificateValidationCallback = static (_, _, _, _) => true,
    };

    private readonly SslStream _stream;
    private readonly Task _handshake;
    private readonly ArrayBufferWriter<byte> _produced = new();
    private ReadOnlyMemory<byte> _given;
    private Memory<byte> _target;
    private Action<object?>? _continuation;
    private object? _state;
    private bool _isReading;
    private int _result;
    private short _version;
    private ValueTask<int> _look;
    private bool _isLooking;

    public TlsPeer()
    {
        _stream = new SslStream(this, leaveInnerStreamOpen: true);
        _handshake = _stream.AuthenticateAsClientAsync(s_options);
    }

    /// <summary>The handshake is through.</summary>
    public bool IsUp => _handshake.IsCompletedSuccessfully;

    public string? Problem => _handshake.IsFaulted ? _handshake.Exception!.GetBaseException().Message : null;

    /// <summary>Takes what is to be sent, as an array of its own.</summary>
    public byte[]? TakeProduced()
    {
        byte[]? bytes = _produced.WrittenCount > 0 ? _produced.WrittenSpan.ToArray() : null;
        _produced.ResetWrittenCount();
        return bytes;
    }

    /// <summary>What was received; to be followed by <see cref="Read"/> until it returns 0.</summary>
    public void Give(ReadOnlyMemory<byte> bytes)
    {
        _given = bytes;
        Resume();
    }

    /// <summary>Decrypted bytes; 0: more must be given first.</summary>
    public int Read(Memory<byte> buffer)
    {
        if (!_isLooking)
        {
            _look = _stream.ReadAsync(Memory<byte>.Empty);
            _isLooking = true;
        }

        if (!_look.IsCompleted)
        {
            return 0;
        }

        _isLooking = false;
        _ = _look.GetAwaiter().GetResult();
        return _stream.ReadAsync(buffer).GetAwaiter().GetResult();
    }

    public byte[] Encrypt(byte[] plain)
    {
        _stream.WriteAsync(plain).GetAwaiter().GetResult();
        return TakeProduced()!;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _stream.Dispose();
        }

        base.Dispose(disposing);
    }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!_given.IsEmpty)
        {
            return new ValueTask<int>(buffer.IsEmpty ? 0 : Take(buffer.Span));
        }

        // Even an empty buffer waits: nothing is asked of TLS before there are bytes.
        _target = buffer;
        _isReading = true;
        return new ValueTask<int>(this, ++_version);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        _produced.Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    int IValueTaskSource<int>.GetResult(short token) => _result;

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _isReading ? ValueTaskSourceStatus.Pending : ValueTaskSourceStatus.Succeeded;

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        (_continuation, _state) = (continuation, state);

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private void Resume()
    {
        if (!_isReading || _given.IsEmpty)
        {
            return;
        }

        _isReading = false;
        _result = _target.IsEmpty ? 0 : Take(_target.Span);
        (Action<object?> continuation, object? state) = (_continuation!, _state);
        (_continuation, _state) = (null, null);
        continuation(state);
    }

    private int Take(Span<byte> target)
    {
        int length = Math.Min(target.Length, _given.Length);
        _given.Span[..length].CopyTo(target);
        _given = _given[length..];
        return length;
    }
}
