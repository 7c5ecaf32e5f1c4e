using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using Pooler.Config;

namespace Pooler.Net;

/// <summary>TLS of one connection after its handshake: an SslStream that is only ever asked for what is there.</summary>
internal sealed class TlsSession(Connection connection, SslStream stream, TlsWire wire) : IDisposable
{
    private ValueTask<int> _look;
    private bool _isLooking;

    /// <summary>Protocol and cipher suite, as SHOW CLIENTS and SHOW SERVERS have them in their column tls.</summary>
    public string Description { get; } = $"{VersionOf(stream)}/{TlsCiphers.NameOf(stream.NegotiatedCipherSuite)}";

    /// <summary>
    /// As recv. First it is asked with an empty buffer, which may have to wait for the rest of a record; a buffer of the caller's
    /// is lent only when the answer is there.
    /// </summary>
    public int Receive(Memory<byte> buffer)
    {
        try
        {
            if (!_isLooking)
            {
#pragma warning disable CA2012 // Looked at again when more has come, and taken once.
                _look = stream.ReadAsync(Memory<byte>.Empty);
#pragma warning restore CA2012
                _isLooking = true;
            }

            wire.Resume();
            if (!_look.IsCompleted)
            {
                return -Syscalls.EAGAIN;
            }

            _isLooking = false;
            _ = Take(_look);
            int length = Take(stream.ReadAsync(buffer));

            // Its reader took all that it had room for: there may be more that the socket knows nothing of.
            connection.Readable |= length == buffer.Length;
            return length;
        }
        catch (Exception e) when (IsFailure(e))
        {
            _isLooking = false;
            return -(wire.Error != 0 ? wire.Error : Syscalls.EPROTO);
        }
    }

    /// <summary>Sends one record (more only for what is longer than one may be).</summary>
    public void Send(ReadOnlyMemory<byte> data)
    {
        try
        {
            Finish(stream.WriteAsync(data));
        }
        catch (Exception e) when (IsFailure(e))
        {
            connection.BreakSending(Syscalls.EPROTO);
        }
    }

    /// <summary>close_notify: what came before is all there is (RFC 8446, 6.1).</summary>
    public void SayGoodbye()
    {
        try
        {
            Finish(new ValueTask(stream.ShutdownAsync()));
        }
        catch (Exception e) when (IsFailure(e))
        {
            // The peer learns it from the end of the stream.
        }
    }

    public void Dispose() => stream.Dispose();

    /// <summary>What SslStream throws for a peer that breaks the rules, or that is gone.</summary>
    public static bool IsFailure(Exception e) =>
        e is IOException or AuthenticationException or CryptographicException or InvalidOperationException or System.ComponentModel.Win32Exception;

    private static int Take(ValueTask<int> read) => read.IsCompleted ? read.GetAwaiter().GetResult() : throw new InvalidOperationException("A TLS read waits.");

    /// <summary>Below it is <see cref="TlsWire"/>, which takes everything at once.</summary>
    private static void Finish(ValueTask write)
    {
        if (!write.IsCompleted)
        {
            throw new InvalidOperationException("A TLS write waits.");
        }

        write.GetAwaiter().GetResult();
    }

    private static string VersionOf(SslStream stream) => stream.SslProtocol switch
    {
        SslProtocols.Tls13 => "TLSv1.3",
        SslProtocols.Tls12 => "TLSv1.2",
        var other => other.ToString(),
    };
}
