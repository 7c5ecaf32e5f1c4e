using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

#pragma warning disable CA5359 // What is shown is the test's to look at.

/// <summary>A TLS connection by hand, over which a test says what it likes.</summary>
internal static class TlsSocket
{
    /// <param name="isDirect">No SSLRequest first.</param>
    /// <param name="alpn">What is offered by ALPN; null: nothing.</param>
    public static async Task<SslStream> OpenAsync(EndPoint endPoint, bool isDirect = false, string? alpn = null)
    {
        var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync((IPEndPoint)endPoint);
        if (!isDirect)
        {
            await client.GetStream().WriteAsync(PgRequest.SslRequest);
            Assert.Equal('S', client.GetStream().ReadByte());
        }

        var stream = new SslStream(client.GetStream(), leaveInnerStreamOpen: false);
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            ApplicationProtocols = alpn is null ? null : [new SslApplicationProtocol(alpn)],
            RemoteCertificateValidationCallback = static (_, _, _, _) => true,
        });
        return stream;
    }

    /// <summary>All that comes, until the end or an error.</summary>
    public static async Task<string> ReadToEndAsync(Stream stream)
    {
        using var limit = new CancellationTokenSource(Patience.Default);
        var text = new System.Text.StringBuilder();
        byte[] buffer = new byte[4096];
        try
        {
            while (await stream.ReadAsync(buffer, limit.Token) is > 0 and int length)
                text.Append(System.Text.Encoding.UTF8.GetString(buffer, 0, length));
        }
        catch (IOException)
        {
            text.Append("(reset)");
        }

        return text.ToString();
    }
}
