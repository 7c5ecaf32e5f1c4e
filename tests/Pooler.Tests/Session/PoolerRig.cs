using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Frontend;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>
/// The real I/O threads, pools, login and sessions in the test's process, between raw client sockets and a
/// <see cref="FakePostgres"/>. Entry "db", one server, transaction mode, unless the settings say otherwise.
/// </summary>
internal sealed class PoolerRig : IDisposable
{
    private static readonly ConcurrentQueue<string> Defects = new();

    private readonly TempFolder _folder = new();
    private readonly ConcurrentBag<RawPeer> _clients = [];
    private readonly Listener _listener;
    private readonly LoginContext _context;
    private readonly Pooler.Net.SocketOptions _clientOptions;
    private readonly long _foreignResumes = IoThread.ForeignResumes;
    private int _next;

    public PoolerRig(string settings = "", int threads = 1, string database = "", Func<Engine>? engine = null)
    {
        Defects.Clear();
        IoThread.DefectLog = Defects.Enqueue;
        PoolerConfig config = _folder.LoadRight($"""
            [databases]
            db = host=127.0.0.1 port={Postgres.Port} user=u {database}
            [pgbouncer]
            auth_type = any
            server_tls_sslmode = disable
            pool_mode = transaction
            pin = off
            default_pool_size = 1
            {settings}
            """);
        Threads = [.. Enumerable.Range(0, threads).Select(i => new IoThread(i, engine ?? Net.EngineUnderTest.Create))];
        var live = new LiveConfig(config);
        var keys = new ClientKeys();
        var names = new HostNames(live, NullLogger.Instance);
        var fetched = new FetchedSecrets();
        var source = new PoolSource(live, keys, fetched, new Clusters(new ClusterFile(null, NullLogger.Instance), names, new ServerPasswords(), NullLogger.Instance, static (_, _, _) => { }), names, new ServerPasswords());
        Pools = new Pools(Threads, source, new ServerJournal(live, NullLogger.Instance));
        Sessions = new SessionTable();
        _context = new LoginContext(live, Pools, Sessions, new Credentials(live, keys, fetched), NullLogger.Instance, static (client, _, _) => client.CloseGracefully(), static (_, _) => false, new Peers(Threads[0], live, names))
        {
            SecretQueries = new SecretQueries(Threads[0], live, source, Pools.Statements),
            Tokens = new OAuthTokens(NullLogger.Instance),
        };
        _clientOptions = PoolSource.SocketOptionsOf(config);
        _listener = Listen();
        _listener.Start();
        foreach (IoThread thread in Threads)
        {
            thread.Start();
        }
    }

    public FakePostgres Postgres { get; } = new();

    public IoThread[] Threads { get; }

    public Pools Pools { get; }

    public SessionTable Sessions { get; }

    public int Port { get; private set; }

    public ServerPool Pool { get; private set; } = null!;

    /// <summary>Blocks of buffers in use, all threads.</summary>
    public int Rented => Threads.Sum(static t => t.Blocks.Rented);

    /// <summary>What a test's own engine has found wrong.</summary>
    public static void Defect(string what) => Defects.Enqueue(what);

    /// <summary>A client that has read its greeting up to ReadyForQuery.</summary>
    public RawPeer Client(string user = "u") => Client(Wire.Startup(user, "db"), out _);

    /// <summary>The same with a startup packet of one's own; <paramref name="key"/> is the body of BackendKeyData.</summary>
    public RawPeer Client(byte[] startup, out byte[] key)
    {
        RawPeer client = Connect(startup);
        key = [];
        for (byte[] frame = client.ReceiveFrame(); frame[0] != 'Z'; frame = client.ReceiveFrame())
        {
            key = frame[0] == 'K' ? frame[5..] : key;
            if (frame[0] == 'E')
            {
                Assert.Fail("login refused: " + RawPeer.Show(frame));
            }
        }

        Pools.Read(pools => Pool = pools.First());
        return client;
    }

    /// <summary>A connection that has sent so much and read nothing.</summary>
    public RawPeer Connect(params byte[] data)
    {
        RawPeer client = RawPeer.Connect(Port);
        _clients.Add(client);
        client.Send(data);
        return client;
    }

    /// <summary>Waits until the I/O threads have dealt with everything that was there when it was called.</summary>
    /// <param name="rounds">1 is enough for events alone: what they put on the run list comes in the next.</param>
    public void Turn(int rounds = 3)
    {
        foreach (IoThread thread in Threads)
        {
            for (int i = 0; i < rounds; i++)
            {
                using var done = new ManualResetEventSlim();
                thread.Post(done.Set);
                Assert.True(done.Wait(RawPeer.Patience), "the I/O thread does not turn");
            }
        }
    }

    /// <summary>Holds up an I/O thread until the result is disposed: what happens meanwhile comes in one batch.</summary>
    public IDisposable Hold(int thread = 0)
    {
        var hold = new ThreadHold();
        Threads[thread].Post(hold.Run);
        hold.AwaitEntered();
        return hold;
    }

    /// <summary>Runs on an I/O thread and gives its result.</summary>
    public T On<T>(Func<T> function, int thread = 0)
    {
        T? result = default;
        Exception? fault = null;
        using var done = new ManualResetEventSlim();
        Threads[thread].Post(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception e)
            {
                fault = e;
            }

            done.Set();
        });
        Assert.True(done.Wait(RawPeer.Patience), "the I/O thread does not turn");
        return fault == null ? result! : throw new InvalidOperationException(fault.Message, fault);
    }

    public void WaitFor(Func<ServerPool, bool> condition, string what) => WaitUntil(() =>
    {
        bool holds = false;
        Pools.Read(_ => holds = condition(Pool));
        return holds;
    }, what);

    public static void WaitUntil(Func<bool> condition, string what) => WaitUntil(condition, () => what);

    public static void WaitUntil(Func<bool> condition, Func<string> what)
    {
        long deadline = Environment.TickCount64 + (long)RawPeer.Patience.TotalMilliseconds;
        for (var spin = new SpinWait(); !condition(); spin.SpinOnce(sleep1Threshold: -1))
        {
            if (Environment.TickCount64 > deadline)
            {
                Assert.Fail("never came: " + what());
            }
        }
    }

    /// <summary>The one server is idle in its pool and nobody waits.</summary>
    public void WaitForIdleServer() => WaitFor(static p => p.Waiting == 0 && p.IdleCount == p.Slots.Count && p.IdleCount == 1, "one idle server");

    /// <summary>No rule of ownership was broken so far.</summary>
    public void AssertNoDefect()
    {
        Assert.Empty(Defects);
        Assert.Equal(_foreignResumes, IoThread.ForeignResumes);
    }

    public void Dispose()
    {
        foreach (RawPeer client in _clients)
        {
            client.Dispose();
        }

        Postgres.Dispose();
        Threads[0].Post(_listener.Close);
        foreach (IoThread thread in Threads)
        {
            Assert.True(thread.Stop(RawPeer.Patience));
        }

        _folder.Dispose();
        AssertNoDefect();
    }

    private Listener Listen()
    {
        int errno = 0;
        for (int attempt = 0; attempt < 20; attempt++)
        {
            using (var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
                Port = ((IPEndPoint)probe.LocalEndPoint!).Port;
            }

            Listener? listener = Listener.Create(
                Threads[0], new IPEndPoint(IPAddress.Loopback, Port), 512, deferAccept: false, Accepted, Defects.Enqueue, out errno);
            if (listener != null)
            {
                return listener;
            }
        }

        throw new InvalidOperationException(Syscalls.ErrorText(errno));
    }

    private void Accepted(int fd, Listener listener)
    {
        Sessions.Connected();
        _clientOptions.Apply(fd, isUnix: false);
        IoThread thread = Threads[_next++ % Threads.Length];
        thread.Post(() =>
        {
            var client = new Connection(thread, fd);
            Assert.Equal(0, client.Open());
            _ = new ClientLogin(client, _context, isUnix: false).RunAsync();
        });
    }

    private sealed class ThreadHold : IDisposable
    {
        private readonly ManualResetEventSlim _entered = new(), _released = new();

        public void Run()
        {
            _entered.Set();
            _released.Wait();
        }

        public void AwaitEntered() => Assert.True(_entered.Wait(RawPeer.Patience));

        public void Dispose() => _released.Set();
    }
}

/// <summary>Tests that start I/O threads run one after the other: what they count belongs to the process.</summary>
[CollectionDefinition(Name, DisableParallelization = false)]
public sealed class IoThreads
{
    public const string Name = "I/O threads";
}
