using System.Buffers;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Benchmarks.DataPath;

/// <summary>A request's whole way through the pooler and back, over Unix sockets: read, lease, forward, answer, release.</summary>
[UsesOtherThreads]
public class DataPathBenchmarks : IDisposable
{
    private static readonly byte[] s_query = Query();

    // Parse "" as select 1, Bind, Describe the portal, Execute, Sync.
    private static readonly byte[] s_extended =
    [
        (byte)'P', 0, 0, 0, 16, 0, .. "select 1"u8, 0, 0, 0, (byte)'B', 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0,
        (byte)'D', 0, 0, 0, 6, (byte)'P', 0, (byte)'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, (byte)'S', 0, 0, 0, 4,
    ];

    // Parse "one" as select 1, Sync.
    private static readonly byte[] s_parse = [(byte)'P', 0, 0, 0, 19, .. "one"u8, 0, .. "select 1"u8, 0, 0, 0, (byte)'S', 0, 0, 0, 4];

    // Bind "one", Describe the portal, Execute, Sync.
    private static readonly byte[] s_prepared =
    [
        (byte)'B', 0, 0, 0, 15, 0, .. "one"u8, 0, 0, 0, 0, 0, 0, 0,
        (byte)'D', 0, 0, 0, 6, (byte)'P', 0, (byte)'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, (byte)'S', 0, 0, 0, 4,
    ];

    private readonly byte[] _buffer = new byte[4096];
    private BenchFolder? _folder;
    private PoolerService? _pooler;
    private Socket? _client;

    [GlobalSetup]
    public void Start()
    {
        _folder = new BenchFolder();
        _pooler = new PoolerService(new LiveConfig(_folder.Config), [], NullLogger.Instance);
        IoThread.DefectLog = static defect => Environment.FailFast(defect);
        _pooler.StartAsync().Wait();

        _client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _client.Connect(new UnixDomainSocketEndPoint(Path.Combine(_folder.Path, $".s.PGSQL.{BenchFolder.PoolerPort}")));
        var startup = new ArrayBufferWriter<byte>();
        new MessageWriter(startup).WriteStartup(
            StartupPacket.Version30, new StartupParameter("user", BenchFolder.User), new StartupParameter("database", BenchFolder.Database));
        _client.Send(startup.WrittenSpan);
        ReadOnlySpan<byte> ready = [BackendMessage.ReadyForQuery, 0, 0, 0, 5, (byte)'I'];
        for (int have = 0; !_buffer.AsSpan(0, have).EndsWith(ready);)
        {
            int read = _client.Receive(_buffer.AsSpan(have));
            have += read > 0 ? read : throw new InvalidOperationException("the login was refused");
        }

        RoundTrip(s_parse, FakePostgres.ParseReply);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _client!.Dispose();
        _pooler!.StopAsync().Wait();
        _folder!.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public int Simple() => RoundTrip(s_query, FakePostgres.QueryReply);

    [Benchmark]
    public int Extended() => RoundTrip(s_extended, FakePostgres.ExtendedReply);

    [Benchmark]
    public int Prepared() => RoundTrip(s_prepared, FakePostgres.PreparedReply);

    private static byte[] Query()
    {
        var output = new ArrayBufferWriter<byte>();
        new MessageWriter(output).WriteQuery("select 1");
        return output.WrittenSpan.ToArray();
    }

    private int RoundTrip(byte[] request, byte[] reply)
    {
        _client!.Send(request);
        int have = 0;
        while (have < reply.Length)
        {
            int read = _client.Receive(_buffer.AsSpan(have));
            have += read > 0 ? read : throw new InvalidOperationException("the pooler closed the connection");
        }

        return _buffer.AsSpan(0, have).SequenceEqual(reply) ? have : throw new InvalidOperationException("another answer came");
    }
}
