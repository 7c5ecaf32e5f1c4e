using System.Collections.Concurrent;

namespace Pooler.Session;

/// <summary>
/// The clients of the process: how many there are, and by which key each is cancelled. One table for all I/O threads, since a
/// cancel comes on any of them.
/// </summary>
internal sealed class SessionTable
{
    private readonly ConcurrentDictionary<CancelKey, ClientSession> _sessions = new();
    private int _clients, _logins;

    /// <summary>Connected clients, logging in or logged in; the console's own are not counted.</summary>
    public int Clients => Volatile.Read(ref _clients);

    /// <summary>Those of them that are still logging in.</summary>
    public int Logins => Volatile.Read(ref _logins);

    public CancelKeys Keys { get; } = new();

    public void Connected()
    {
        Interlocked.Increment(ref _clients);
        Interlocked.Increment(ref _logins);
    }

    public void LoginEnded() => Interlocked.Decrement(ref _logins);

    public void Disconnected() => Interlocked.Decrement(ref _clients);

    /// <summary>On the session's own thread. It gets its cancel key.</summary>
    public void Add(ClientSession session)
    {
        do
        {
            session.CancelKey = Keys.New();
        }
        while (!_sessions.TryAdd(session.CancelKey, session));
    }

    public void Remove(ClientSession session) => _sessions.TryRemove(session.CancelKey, out _);

    /// <summary>
    /// A CancelRequest came, on any thread: its session is told which of its requests was running then. False when the key is
    /// nobody's, or another node's. The seal of a long key is compared in constant time, the rest as one word.
    /// </summary>
    public bool Cancel(int processId, ReadOnlySpan<byte> secret, CancelRequest request)
    {
        if (!Keys.TryRead(processId, secret, out CancelKey key, out bool isLong)
            || !_sessions.TryGetValue(key, out ClientSession? session)
            || session.HasLongKey != isLong)
        {
            return false;
        }

        int number = session.RequestNumber;
        session.Thread.Post(() => session.Cancel(number, request));
        return true;
    }

    /// <summary>All sessions, for a count: whoever reads them from another thread sees each as it is at that moment, and touches nothing.</summary>
    public IEnumerable<ClientSession> All => _sessions.Select(static pair => pair.Value);

    /// <summary>The sessions of the current I/O thread.</summary>
    public IReadOnlyList<ClientSession> OfCurrentThread() => [.. _sessions.Select(static pair => pair.Value).Where(static s => s.Thread.IsCurrent)];
}
