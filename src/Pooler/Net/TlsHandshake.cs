using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Pooler.Config;

namespace Pooler.Net;

/// <summary>
/// The TLS handshake of one connection. Its thread receives and sends; what is computed is computed on other threads, flight by
/// flight, by an SslStream that sees nothing of the connection until the handshake is through.
/// </summary>
internal sealed class TlsHandshake : IDisposable
{
    // What a peer may send of one flight without getting on; certificates are the most of it.
    private const int MaxUnanswered = 256 * 1024;

    private readonly Func<SslStream, Task> _authenticate;
    private readonly OffloadQueue _work;
    private readonly bool _isClient;
    private readonly TlsWire _wire = new();
    private readonly SslStream _stream;
    private Task? _task;
    private int _unanswered;

    private TlsHandshake(OffloadQueue work, bool isClient, Func<SslStream, Task> authenticate)
    {
        _work = work;
        _isClient = isClient;
        _stream = new SslStream(_wire, leaveInnerStreamOpen: true);
        _authenticate = authenticate;
    }

    /// <summary>Why it failed; null: it did not.</summary>
    public string? Problem { get; private set; }

    /// <summary>The certificate that the peer showed, and proved that it has the key of.</summary>
    public X509Certificate2? PeerCertificate => _stream.RemoteCertificate as X509Certificate2;

    /// <summary>The host that a client asked for (SNI); empty: it did not say.</summary>
    public string ServerName => _stream.TargetHostName;

    /// <summary>Both sides have agreed by ALPN to speak PostgreSQL's protocol.</summary>
    public bool HasAgreedOnPostgres => _stream.NegotiatedApplicationProtocol == TlsFiles.Postgres;

    public static TlsHandshake AsServer(OffloadQueue work, SslServerAuthenticationOptions options) => new(work, false, stream => stream.AuthenticateAsServerAsync(options));

    public static TlsHandshake AsClient(OffloadQueue work, SslClientAuthenticationOptions options) => new(work, true, stream => stream.AuthenticateAsClientAsync(options));

    /// <summary>
    /// From the bytes the connection has received so far to TLS on it, which then is <see cref="Connection.Tls"/>. Whoever waits for it has a
    /// deadline, and ends it by closing the connection, or by an answer of no and a wake.
    /// </summary>
    public async ValueTask<bool> RunAsync(Connection connection, Func<bool> goesOn)
    {
        bool isUp = await ShakeAsync(connection, goesOn);
        IoCounters counters = connection.Owner.Counters;
        if (_isClient)
        {
            counters.ServerHandshakes += isUp ? 1 : 0;
            counters.FailedServerHandshakes += isUp ? 0 : 1;
        }
        else
        {
            counters.ClientHandshakes += isUp ? 1 : 0;
            counters.FailedClientHandshakes += isUp ? 0 : 1;
        }

        return isUp;
    }

    private async ValueTask<bool> ShakeAsync(Connection connection, Func<bool> goesOn)
    {
        ConnectionInput input = connection.Input;
        while (true)
        {
            byte[] received = input.Unread.ToArray();
            input.Advance(received.Length);
            bool isEnded = input.IsEnded;
            if (received.Length > 0 || (_isClient && _task == null))
            {
                await Offload.Run(connection, _work, isPreferred: false, static step => step.Self.Step(step.connection, step.received), (Self: this, connection, received));
                Answer(connection);
            }

            if (connection.IsClosed || Problem != null || !goesOn())
            {
                return false;
            }

            if (_task is { IsCompletedSuccessfully: true })
            {
                _wire.Join(connection);
                connection.BeginTls(new TlsSession(connection, _stream, _wire));
                return true;
            }

            if (isEnded || input.IsEnded)
            {
                Problem = "the connection ended";
                return false;
            }

            await input.WaitAsync();
        }
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>
    /// A server's last words in TLS 1.3 are tickets for later (RFC 8446, 4.6.1), which nobody waits for: the client speaks next, and they go
    /// along with the answer to that.
    /// </summary>
    private bool HasOnlyTickets => !_isClient && _task is { IsCompletedSuccessfully: true } && _stream.SslProtocol == SslProtocols.Tls13;

    /// <summary>One flight: until more is needed, or all is said.</summary>
    private bool Step(Connection connection, byte[] received)
    {
        IoThread.MustNotBeHere();
        if (!_isClient && connection.HasHungUp)
        {
            Problem = "the connection ended"; // Read from another thread, as a hint: in a storm many have left by the time it is their turn.
            return true;
        }

        _unanswered += received.Length;
        _wire.Give(received);
        _task ??= _authenticate(_stream);
        if (_task.IsFaulted)
        {
            Problem = Describe(_task.Exception!.GetBaseException());
        }
        else if (!_task.IsCompleted && (!_wire.IsReading || _unanswered > MaxUnanswered))
        {
            Problem = "it does not come to an end";
        }

        return true;
    }

    private void Answer(Connection connection)
    {
        if (_wire.Produced.IsEmpty || HasOnlyTickets)
        {
            return;
        }

        _unanswered = 0;
        if (!connection.IsClosed)
        {
            connection.Wire.Send(_wire.Produced); // An alert that says why, too.
        }

        _wire.ClearProduced();
    }

    /// <summary>SslStream's own sentences say "see inner exception"; OpenSSL's reason is in the innermost.</summary>
    private static string Describe(Exception e)
    {
        while (e.InnerException is { } inner)
        {
            e = inner;
        }

        return e.Message;
    }
}
