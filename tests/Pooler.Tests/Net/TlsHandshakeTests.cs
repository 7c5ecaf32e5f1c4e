using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Pooler.Net;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Net;

#pragma warning disable CA5359 // Who is who does not matter here.

/// <summary>The handshake of a connection of a real I/O thread with a real TLS client: computed elsewhere, so many at once.</summary>
[Collection(IoThreads.Name)]
public sealed class TlsHandshakeTests : IDisposable
{
    private const int Limit = 2;

    private static readonly X509Certificate2 s_certificate = NewCertificate();

    private readonly ConcurrentQueue<string> _defects = new();
    private readonly IoThread _thread = new(0, EngineUnderTest.Create);
    private readonly long _foreignResumes = IoThread.ForeignResumes;
    private readonly List<Connection> _connections = [];
    private int _computing, _most, _onIoThread;

    public TlsHandshakeTests()
    {
        IoThread.DefectLog = _defects.Enqueue;
        _thread.Start();
    }

    public void Dispose()
    {
        On(() =>
        {
            foreach (Connection connection in _connections)
            {
                connection.Close();
                connection.Input.Complete();
            }

            return true;
        });
        Assert.Equal(0, On(() => _thread.Blocks.Rented));
        Assert.True(_thread.Stop(RawPeer.Patience));
        Assert.Empty(_defects);
        Assert.Equal(_foreignResumes, IoThread.ForeignResumes);
    }

    /// <summary>No certificate is chosen, and nothing signed, on an I/O thread, and no more at once than the queue allows.</summary>
    [Fact]
    public async Task ManyAtOnce()
    {
        var queue = new OffloadQueue(Limit);
        (TcpClient Client, Task<bool> Done)[] all = [.. Enumerable.Range(0, 40).Select(_ => Accept(queue))];
        SslStream[] clients = await Task.WhenAll(all.Select(static pair => SpeakAsync(pair.Client)));
        Assert.All(await Task.WhenAll(all.Select(static pair => pair.Done)), Assert.True);
        Assert.Equal(0, _onIoThread);
        Assert.InRange(_most, 1, Limit);

        // And they speak: what is written as one is read as it was.
        byte[] sent = RandomNumberGenerator.GetBytes(100_000), heard = new byte[100_000];
        On(() =>
        {
            _connections[0].Outbox.Send(sent);
            return true;
        });
        await clients[0].ReadExactlyAsync(heard, TestContext.Current.CancellationToken);
        Assert.Equal(sent, heard);
        Assert.All(clients, static client => client.Dispose());
    }

    /// <summary>Garbage, and a client that leaves: the handshake has failed, and says why.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OneThatFails(bool speaks)
    {
        (TcpClient client, Task<bool> done) = Accept(new OffloadQueue(Limit));
        if (speaks)
            await client.GetStream().WriteAsync("no handshake at all, and long enough to be looked at"u8.ToArray(), TestContext.Current.CancellationToken);
        else
            client.Close();
        Assert.False(await done);
        client.Dispose();
    }

    /// <summary>A connection of the I/O thread, the server of the handshake, and the socket at its other end.</summary>
    private (TcpClient Client, Task<bool> Done) Accept(OffloadQueue queue)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        SocketAddress address = listener.LocalEndpoint.Serialize();
        var done = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        On(() =>
        {
            Connection connection = Connection.Connect(_thread, address, new Pooler.Net.SocketOptions(true, 0, 0, 0, 0, 0), out _)!;
            _connections.Add(connection);
            _ = RunAsync(connection, queue, done);
            return true;
        });
        return (listener.AcceptTcpClient(), done.Task);
    }

    private async Task RunAsync(Connection connection, OffloadQueue queue, TaskCompletionSource<bool> done)
    {
        while (connection.IsConnecting)
        {
            await connection.Input.ParkAsync();
        }

        bool isUp = await TlsHandshake.AsServer(queue, new SslServerAuthenticationOptions
        {
            ServerCertificateSelectionCallback = (_, _) =>
            {
                int now = Interlocked.Increment(ref _computing);
                _most = Math.Max(_most, now);
                _onIoThread += IoThread.Current != null ? 1 : 0;
                Thread.SpinWait(20_000);
                Interlocked.Decrement(ref _computing);
                return s_certificate;
            },
        }).RunAsync(connection, static () => true);
        done.SetResult(isUp);
    }

    private static async Task<SslStream> SpeakAsync(TcpClient client)
    {
        var stream = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, static (_, _, _, _) => true);
        await stream.AuthenticateAsClientAsync("localhost");
        return stream;
    }

    private T On<T>(Func<T> function)
    {
        using var done = new ManualResetEventSlim();
        T result = default!;
        _thread.Post(() =>
        {
            result = function();
            done.Set();
        });
        Assert.True(done.Wait(RawPeer.Patience));
        return result;
    }

    private static X509Certificate2 NewCertificate()
    {
        using var key = RSA.Create(2048);
        using X509Certificate2 made = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }
}
