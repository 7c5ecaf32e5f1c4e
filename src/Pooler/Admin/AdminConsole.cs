using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Statements;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>The database pgbouncer: what its commands need of the process, and who is logged in to it.</summary>
internal sealed class AdminConsole(
    IoThread[] threads, LiveConfig live, Clusters clusters, HostNames names, Pools pools, SessionTable clients, StatementTables statements, Peers peers, ConfigControl control, Shutdown shutdown, ILogger log, string version)
{
    private readonly ConcurrentDictionary<int, ConsoleSession> _sessions = new();

    public IoThread[] Threads => threads;

    public LiveConfig Live => live;

    public Clusters Clusters => clusters;

    public HostNames Names => names;

    public Pools Pools => pools;

    public SessionTable Clients => clients;

    /// <summary>What clients have run.</summary>
    public StatementTables Statements => statements;

    public Peers Peers => peers;

    public ConfigControl Control => control;

    public Shutdown Shutdown => shutdown;

    public ILogger Log => log;

    public string Version => version;

    public StatsHistory Stats { get; } = new(pools, threads.Length);

    /// <summary>Those logged in to the console now; may be read by any thread.</summary>
    public ICollection<ConsoleSession> Sessions => _sessions.Values;

    /// <summary>Takes over a client that has been authenticated for the console.</summary>
    public void Enter(Connection client, ClientIdentity identity, string applicationName)
    {
        PoolerConfig config = live.Current;

        // PgBouncer: so is the user pgbouncer of our own uid over the Unix socket. With auth_type any everybody may look.
        bool isAdmin = config.IsAdmin(identity.User)
            || (identity.User == PoolerConfig.ConsoleDatabase && Syscalls.PeerUid(client.Fd) == Syscalls.EffectiveUid());
        var session = new ConsoleSession(this, client, identity, isAdmin, Stats.Own[client.Owner.Index]) { ApplicationName = applicationName };
        while (!_sessions.TryAdd(session.ChooseKey(), session))
        {
        }

        client.Input.IsBounded = false; // The console answers when everything else waits for memory.
        session.Start();
    }

    /// <summary>A CancelRequest came, on any thread. False when its process id is none of the console's; it may be a client's all the same.</summary>
    public bool Cancel(int processId, byte[] secret)
    {
        if (!_sessions.TryGetValue(processId, out ConsoleSession? session))
        {
            return false;
        }

        session.Client.Owner.Post(() => session.Cancel(secret));
        return true;
    }

    /// <summary>A suspension with nobody left who could end it ends by itself (PgBouncer, admin_pause_done).</summary>
    public void Left(ConsoleSession session)
    {
        _sessions.TryRemove(session.Key, out _);
        if (_sessions.IsEmpty && Pools.PauseOfAll == PauseMode.Suspended && Pools.Resume(null, session.Client.Owner.Now))
        {
            Log.Note("admin disappeared when suspended, doing RESUME");
        }
    }
}
