using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>A PostgreSQL that logs everybody in by itself; what it says after that is the test's to script.</summary>
internal sealed class FakePostgres : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly BlockingCollection<RawPeer> _servers = [];
    private readonly ConcurrentQueue<RawPeer> _all = new(), _heldCancels = new();
    private int _cancels, _logins;

    public FakePostgres()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(512);
        new Thread(Accept) { IsBackground = true, Name = "fake-postgres" }.Start();
    }

    public static byte[] Greeting { get; } = Wire.Join(
        Wire.Parameter("server_version", "16.0"),
        Wire.Parameter("client_encoding", "UTF8"),
        Wire.Parameter("DateStyle", "ISO, MDY"),
        Wire.Parameter("TimeZone", "UTC"),
        Wire.Parameter("IntervalStyle", "postgres"),
        Wire.Parameter("standard_conforming_strings", "on"),
        Wire.Parameter("application_name", ""));

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <summary>CancelRequests received.</summary>
    public int Cancels => Volatile.Read(ref _cancels);

    public int Logins => Volatile.Read(ref _logins);

    /// <summary>When true a CancelRequest's connection is left open: it never ends for the sender.</summary>
    public bool HoldsCancels { get; set; }

    /// <summary>Ends the connections of the cancels held so far.</summary>
    public void ReleaseCancels()
    {
        while (_heldCancels.TryDequeue(out RawPeer? cancel))
        {
            cancel.Dispose();
        }
    }

    /// <summary>The next server connection that has logged in.</summary>
    public RawPeer Next()
    {
        Assert.True(_servers.TryTake(out RawPeer? server, RawPeer.Patience), "no server connection came");
        return server;
    }

    /// <summary>The same without a deadline; ends with an exception when this PostgreSQL does.</summary>
    public RawPeer Await() => _servers.Take();

    public void Dispose()
    {
        _listener.Dispose();
        _servers.CompleteAdding();
        foreach (RawPeer peer in _all)
        {
            peer.Dispose();
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                var peer = new RawPeer(RawPeer.Prepare(_listener.Accept()));
                _all.Enqueue(peer);
                Greet(peer);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }

    private void Greet(RawPeer peer)
    {
        try
        {
            byte[] packet = peer.Receive(BinaryPrimitives.ReadInt32BigEndian(peer.Receive(4)) - 4);
            if (BinaryPrimitives.ReadInt32BigEndian(packet) == (1234 << 16 | 5678))
            {
                bool isHeld = HoldsCancels;
                if (isHeld)
                {
                    _heldCancels.Enqueue(peer);
                }

                Interlocked.Increment(ref _cancels);
                if (!isHeld)
                {
                    peer.Dispose();
                }

                return;
            }

            peer.Send(Wire.Join(Wire.Frame('R', 0, 0, 0, 0), Greeting, Wire.Frame('K', 0, 0, 0, 1, 9, 9, 9, 9), Wire.Ready('I')));
            Interlocked.Increment(ref _logins);
            _servers.Add(peer);
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException or InvalidOperationException)
        {
            peer.Dispose();
        }
    }
}
