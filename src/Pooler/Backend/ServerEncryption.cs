using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// What comes first on a connection to a server: SSLRequest, its answer and the TLS handshake, as server_tls_sslmode wants it
/// (PostgreSQL documentation, 55.2.11). Over a Unix socket there is none.
/// </summary>
internal sealed class ServerEncryption(ServerTarget target, HostAddress host)
{
    // Other than logins' work: a server that a client waits for stands behind no storm of clients.
    private static readonly OffloadQueue s_handshakes = new(Environment.ProcessorCount);

    private string? _verdict;

    /// <summary>The hash of the server's certificate that SCRAM can be bound to; null: no TLS, or a certificate that cannot be bound to.</summary>
    public byte[]? ChannelBinding { get; private set; }

    /// <summary>Null: it may go on, with TLS or without; else why it must not. The caller's deadline closes the connection.</summary>
    public async ValueTask<string?> BeginAsync(Connection socket)
    {
        ServerTls? tls = target.Tls;
        if (tls == null || tls.Mode == SslMode.Disable || host.IsUnixSocket)
        {
            return null;
        }

        if (!tls.IsDirect && await AskAsync(socket) is var answer && answer != 'S')
        {
            // Its words, if it has any, may be a stranger's: nobody is shown them (CVE-2024-10977).
            return answer == 'N' && !tls.IsRequired ? null
                : answer == 'N' ? "server refused SSL (server_tls_sslmode)"
                : answer == null ? "server conn crashed?"
                : "server sent what is no answer to SSLRequest";
        }

        // What came before the handshake would be taken for something that came through it (CVE-2021-23222).
        if (socket.Input.UnreadLength > 0)
        {
            return "server sent unencrypted data after SSL response";
        }

        TlsHandshake handshake = TlsHandshake.AsClient(s_handshakes, tls.OptionsFor(host.Name, verdict => _verdict = verdict));
        bool isUp = await handshake.RunAsync(socket, static () => true);
        if (!isUp)
        {
            handshake.Dispose();
            return $"TLS handshake failed: {_verdict ?? handshake.Problem}";
        }

        if (tls.IsDirect && !handshake.HasAgreedOnPostgres)
        {
            return "server does not speak PostgreSQL's protocol behind direct TLS (ALPN)";
        }

        ChannelBinding = TlsFiles.EndPointOf(handshake.PeerCertificate);
        return null;
    }

    /// <summary>One byte; null: the connection has ended.</summary>
    private static async ValueTask<char?> AskAsync(Connection socket)
    {
        new MessageWriter(socket.Outbox).WriteSslRequest();
        socket.Outbox.Flush();
        while (socket.Input.UnreadLength == 0)
        {
            if (socket.Input.IsEnded || socket.IsClosed)
            {
                return null;
            }

            await socket.Input.WaitAsync();
        }

        char answer = (char)socket.Input.Unread[0];
        socket.Input.Advance(1);
        return answer;
    }
}
