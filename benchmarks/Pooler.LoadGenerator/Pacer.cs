namespace Pooler.LoadGenerator;

/// <summary>
/// Transactions that fall due at a fixed rate, whoever of the clients is free to ask. What finds nobody free waits, and its
/// latency counts from when it was due: a system that stalls cannot slow the ruler down.
/// </summary>
internal sealed class Pacer(double perSecond, Recorder recorder)
{
    private readonly Queue<QueryClient> _free = new();
    private long _start, _given;

    /// <summary>When the next transaction is due, in the loop's nanoseconds; the end of time while nobody is free.</summary>
    public long NextDue => _free.Count > 0 && recorder.IsRunning ? Due : long.MaxValue;

    private long Due => _start + (long)(_given * 1e9 / perSecond);

    public void Begin(IEnumerable<QueryClient> clients)
    {
        _start = EventLoop.Now;
        foreach (QueryClient client in clients)
        {
            _free.Enqueue(client);
        }
    }

    public void Free(QueryClient client) => _free.Enqueue(client);

    /// <summary>Asks what is due.</summary>
    public void Turn()
    {
        while (NextDue <= EventLoop.Now)
        {
            QueryClient client = _free.Dequeue();
            if (client.IsOpen)
            {
                client.Ask(Due);
                _given++;
            }
        }
    }
}
