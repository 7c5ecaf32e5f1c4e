using Pooler.Net;

namespace Pooler.Session;

/// <summary>The clients of the process: how many there are, and on each I/O thread which.</summary>
internal sealed class SessionTable(IoThread[] threads)
{
    private readonly HashSet<ClientSession>[] _sessions = [.. threads.Select(static _ => new HashSet<ClientSession>())];
    private int _clients, _logins;

    /// <summary>Connected clients, logging in or logged in; the console's own are not counted.</summary>
    public int Clients => Volatile.Read(ref _clients);

    /// <summary>Those of them that are still logging in.</summary>
    public int Logins => Volatile.Read(ref _logins);

    public void Connected()
    {
        Interlocked.Increment(ref _clients);
        Interlocked.Increment(ref _logins);
    }

    public void LoginEnded() => Interlocked.Decrement(ref _logins);

    public void Disconnected() => Interlocked.Decrement(ref _clients);

    /// <summary>On the session's own thread.</summary>
    public void Add(ClientSession session) => _sessions[session.Thread.Index].Add(session);

    public void Remove(ClientSession session) => _sessions[session.Thread.Index].Remove(session);

    /// <summary>The sessions of the current I/O thread.</summary>
    public IReadOnlyCollection<ClientSession> OfCurrentThread => _sessions[IoThread.Current!.Index];
}
