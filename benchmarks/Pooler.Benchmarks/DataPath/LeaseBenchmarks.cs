using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Benchmarks.DataPath;

/// <summary>A server lent and given back: the one lock, the idle list, the queue of waiters.</summary>
[UsesOtherThreads]
public class LeaseBenchmarks : IDisposable
{
    private const int Batch = 1000;

    private BenchFolder? _folder;
    private IoThread? _thread;
    private LeaseBatch? _idle, _queued;

    [GlobalSetup]
    public void Start()
    {
        _folder = new BenchFolder();
        _thread = new IoThread(0);
        IoThread.DefectLog = static defect => Environment.FailFast(defect);
        _thread.Start();
        var live = new LiveConfig(_folder.Config);
        var names = new HostNames(live, NullLogger.Instance);
        var pools = new Pools([_thread], new PoolSource(live, new ClientKeys(), new FetchedSecrets(), new Clusters(new ClusterFile(null, NullLogger.Instance), names, new ServerPasswords(), NullLogger.Instance, static (_, _, _) => { }), names, new ServerPasswords()), new ServerJournal(live, NullLogger.Instance));
        ServerPool pool = pools.Get(_folder.Config.FindDatabase(BenchFolder.Database)!, BenchFolder.User);
        _idle = new LeaseBatch(_thread, pools, pool, Batch, overQueue: false);
        _queued = new LeaseBatch(_thread, pools, pool, Batch, overQueue: true);
        _idle.Prepare();
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _thread!.Stop(TimeSpan.FromSeconds(5));
        _idle!.Dispose();
        _queued!.Dispose();
        _folder!.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>A server is idle.</summary>
    [Benchmark(OperationsPerInvoke = Batch)]
    public int LeaseAndReturn() => _idle!.RunOnce();

    /// <summary>The only server allowed is lent: it goes to the client that has waited for it.</summary>
    [Benchmark(OperationsPerInvoke = Batch)]
    public int HandOver() => _queued!.RunOnce();
}
