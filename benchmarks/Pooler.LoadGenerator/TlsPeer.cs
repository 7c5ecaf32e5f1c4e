using System.Net.Security;
using Pooler.Net;

namespace Pooler.LoadGenerator;

#pragma warning disable CA2012 // Each is looked at until it is there, and taken once.
#pragma warning disable CA5359 // The load believes everybody.

/// <summary>The TLS side of one client of the load: bytes in, bytes out, no socket.</summary>
internal sealed class TlsPeer : IDisposable
{
    private static readonly SslClientAuthenticationOptions s_options = new()
    {
        TargetHost = "localhost",
        AllowTlsResume = false, // Every login is one of a client that was never here.
        RemoteCertificateValidationCallback = static (_, _, _, _) => true,
    };

    private readonly TlsWire _wire = new();
    private readonly SslStream _stream;
    private readonly Task _handshake;
    private ValueTask<int> _look;
    private bool _isLooking;

    public TlsPeer()
    {
        _stream = new SslStream(_wire, leaveInnerStreamOpen: true);
        _handshake = _stream.AuthenticateAsClientAsync(s_options);
    }

    /// <summary>The handshake is through.</summary>
    public bool IsUp => _handshake.IsCompletedSuccessfully;

    public string? Problem => _handshake.IsFaulted ? _handshake.Exception!.GetBaseException().Message : null;

    /// <summary>Takes what is to be sent, as an array of its own.</summary>
    public byte[]? TakeProduced()
    {
        byte[]? bytes = _wire.Produced.IsEmpty ? null : _wire.Produced.ToArray();
        _wire.ClearProduced();
        return bytes;
    }

    /// <summary>What was received; to be followed by <see cref="Read"/> until it returns 0.</summary>
    public void Give(ReadOnlyMemory<byte> bytes) => _wire.Give(bytes);

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

    public void Dispose() => _stream.Dispose();
}
