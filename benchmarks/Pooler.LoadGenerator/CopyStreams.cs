namespace Pooler.LoadGenerator;

/// <summary>Endless COPY OUT streams on a thread of their own: draining them must not delay the clients whose latency is measured.</summary>
internal sealed class CopyStreams
{
    // How often the thread looks whether it is to end.
    private const long Slice = 20_000_000;

    private readonly EventLoop _loop = new();
    private readonly CopyClient[] _clients;
    private readonly Thread _thread;
    private volatile bool _isEnding;
    private long _bytes, _markBytes, _markTime;

    public CopyStreams(LoadTarget target, int count, int rowBytes)
    {
        _clients = [.. Enumerable.Range(0, count).Select(_ => CopyClient.Out(_loop, target, rowBytes))];
        _loop.LogInOrThrow(_clients, target);
        _thread = new Thread(Run) { Name = "streams" };
    }

    public long Errors => _loop.Errors;

    public string FirstError => _loop.FirstError;

    /// <summary>Megabytes per second of all streams over the measured part.</summary>
    public double MegabytesPerSecond { get; private set; }

    public void Start() => _thread.Start();

    public void Measure(bool begins)
    {
        (long bytes, long time) = (Volatile.Read(ref _bytes), EventLoop.Now);
        if (!begins)
        {
            MegabytesPerSecond = (bytes - _markBytes) / 1e6 / ((time - _markTime) / 1e9);
        }

        (_markBytes, _markTime) = (bytes, time);
    }

    public void Stop()
    {
        _isEnding = true;
        _thread.Join();
    }

    private void Run()
    {
        foreach (CopyClient client in _clients)
        {
            client.Begin();
        }

        while (!_isEnding && _loop.OpenClients > 0)
        {
            _loop.RunUntil(EventLoop.Now + Slice);
            Volatile.Write(ref _bytes, _clients.Sum(client => client.Bytes));
        }

        foreach (CopyClient client in _clients)
        {
            client.End();
        }
    }
}
