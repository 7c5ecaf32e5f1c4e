using System.Buffers;
using System.Threading.Tasks.Sources;

namespace Pooler.Net;

/// <summary>
/// The stream below an SslStream. During the handshake it is fed by hand and its output gathered; then it is the socket. It never
/// waits for the kernel: a read without bytes stays pending until <see cref="Resume"/> finds some, and goes on right there.
/// </summary>
internal sealed class TlsWire : Stream, IValueTaskSource<int>
{
    private ArrayBufferWriter<byte>? _produced = new();
    private ReadOnlyMemory<byte> _given;
    private Connection? _connection;
    private Memory<byte> _target;
    private Action<object?>? _continuation;
    private object? _continuationState;
    private int _result;
    private short _version;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>A read waits for bytes.</summary>
    public bool IsReading { get; private set; }

    /// <summary>The errno that ended the stream; 0: none.</summary>
    public int Error { get; private set; }

    /// <summary>What is to be sent of the handshake.</summary>
    public ReadOnlySpan<byte> Produced => _produced!.WrittenSpan;

    public void ClearProduced() => _produced!.ResetWrittenCount();

    /// <summary>More of the handshake has come: a pending read goes on on this thread.</summary>
    public void Give(ReadOnlyMemory<byte> bytes)
    {
        _given = bytes;
        Resume();
    }

    /// <summary>From now on it is the socket of this connection, on whose thread it is used. What is produced and not taken goes ahead of what is written next.</summary>
    public void Join(Connection connection)
    {
        _connection = connection;
        _produced = _produced!.WrittenCount > 0 ? _produced : null; // Clients are many, and stay.
    }

    /// <summary>A pending read goes on if there are bytes now.</summary>
    public void Resume()
    {
        if (!IsReading)
        {
            return;
        }

        int result = Take(_target.Span);
        if (result == -Syscalls.EAGAIN)
        {
            return;
        }

        IsReading = false;
        _target = default;
        _result = result;
        (Action<object?> continuation, object? state) = (_continuation!, _continuationState);
        (_continuation, _continuationState) = (null, null);
        continuation(state);
    }

    /// <summary>An empty buffer asks whether there may be bytes: its reader asks only then.</summary>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int result = buffer.IsEmpty ? 0 : Take(buffer.Span);
        if (result >= 0)
        {
            return new ValueTask<int>(result);
        }

        _target = buffer;
        _result = result;
        IsReading = result == -Syscalls.EAGAIN;
        return new ValueTask<int>(this, ++_version);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_connection == null)
        {
            _produced!.Write(buffer.Span);
        }
        else
        {
            if (_produced != null)
            {
                _connection.Wire.Append(_produced.WrittenSpan);
                _produced = null;
            }

            _connection.Wire.Send(buffer.Span);
        }

        return ValueTask.CompletedTask;
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    int IValueTaskSource<int>.GetResult(short token) => _result >= 0 ? _result : throw new IOException(Syscalls.ErrorText(Error));

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) =>
        token == _version && IsReading ? ValueTaskSourceStatus.Pending : ValueTaskSourceStatus.Succeeded;

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        (_continuation, _continuationState) = (continuation, state);

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <summary>As recv.</summary>
    private int Take(Span<byte> target)
    {
        if (!_given.IsEmpty)
        {
            int length = Math.Min(target.Length, _given.Length);
            _given.Span[..length].CopyTo(target);
            _given = _given[length..];
            return length;
        }

        int result = _connection is { Readable: true } ? _connection.Owner.Engine.Receive(_connection, target) : -Syscalls.EAGAIN;
        if (result is < 0 and not -Syscalls.EAGAIN)
        {
            Error = -result;
        }

        return result;
    }
}
