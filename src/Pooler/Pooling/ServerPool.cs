using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>
/// The servers and waiters of one (database, user). Plain data, guarded by the lock of <see cref="Pools"/>; only
/// <see cref="Stats"/> belong to their threads.
/// </summary>
internal sealed class ServerPool
{
    private readonly List<ServerPool> _borrowers = [];
    private readonly Dictionary<HostAddress, ServerTimes?[]> _times = [];
    private WelcomeSet? _welcome, _welcomeOfReplica;

    public ServerPool(PoolKey key, ServerPool? front, int threads, ServerCount database, ServerCount user)
    {
        Key = key;
        Front = front ?? this;
        Database = database;
        User = user;
        Idle = [.. Enumerable.Range(0, threads).Select(_ => new SlotList())];
        Waiters = [.. Enumerable.Range(0, threads).Select(_ => new WaiterQueue())];
        Stats = [.. Enumerable.Range(0, threads).Select(_ => new PoolStats())];
    }

    public PoolKey Key { get; }

    /// <summary>The pool that the clients belong to; of a host's pool another, else itself.</summary>
    public ServerPool Front { get; }

    /// <summary>With routing: the pools of the hosts. Replaced as a whole; read without the lock.</summary>
    public HostPools? ByHost { get; set; }

    /// <summary>Its host takes writes and must get none.</summary>
    public bool IsOfSubscriber => IsSeenAs(HostRole.Subscriber);

    /// <summary>Its host is read from.</summary>
    public bool IsOfReplica => IsSeenAs(HostRole.Replica) || IsOfSubscriber;

    /// <summary>Effective settings; a snapshot that RELOAD replaces.</summary>
    public PoolSettings Settings { get; set; } = null!;

    public DatabaseConfig DatabaseConfig { get; set; } = null!;

    public ServerTarget Target { get; set; } = null!;

    public ServerCount Database { get; }

    public ServerCount User { get; }

    /// <summary>Those of its target's hosts, in the target's order; empty where others have the servers (routing).</summary>
    public ServerCount[] Hosts
    {
        get;
        set
        {
            Array.ForEach(field, Leave);
            field = value;
            Array.ForEach(field, Join);
        }
    } = [];

    /// <summary>Idle servers by I/O thread.</summary>
    public SlotList[] Idle { get; }

    /// <summary>Waiting clients by I/O thread.</summary>
    public WaiterQueue[] Waiters { get; }

    /// <summary>Counters by I/O thread.</summary>
    public PoolStats[] Stats { get; }

    /// <summary>How long things took with its servers, by host and I/O thread; null: nothing was seen there yet.</summary>
    public IReadOnlyDictionary<HostAddress, ServerTimes?[]> Times => _times;

    /// <summary>Every server of the pool, whatever it does.</summary>
    public HashSet<ServerSlot> Slots { get; } = [];

    /// <summary>Clients logged in to this pool.</summary>
    public int Clients { get; set; }

    /// <summary>Its entry is gone from the configuration: it lives for the clients that are still here.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>Thread clock, microseconds, since when it has had no client and no server; 0 while it has one.</summary>
    public long UnusedSince { get; set; }

    /// <summary>Thread clock, microseconds, when its last server was closed for its age (server_lifetime).</summary>
    public long LastAgedOut { get; set; }

    /// <summary>Servers of others that are being closed so that it has a place.</summary>
    public int PlacesToCome { get; set; }

    /// <summary>Servers on their way to their first client: they connect, log in or are made ready. Each of them is for one of the waiters.</summary>
    public int Opening { get; set; }

    public PauseMode Pause { get; set; }

    public bool IsPaused => Pause != PauseMode.None;

    /// <summary>The pool of another entry, whose servers serve this one's clients (share_pools).</summary>
    public ServerPool? Lender
    {
        get;
        set
        {
            field?._borrowers.Remove(this);
            value?._borrowers.Add(this);
            field = value;
        }
    }

    /// <summary>Other entries' clients use its servers.</summary>
    public bool IsShared => _borrowers.Count > 0;

    /// <summary>
    /// The settings its servers report, by which clients are welcomed; null until one has logged in that reports what they are to
    /// hear: in_hot_standby is off for those who may write, wherever their reads go and whoever shares the pools.
    /// </summary>
    public WelcomeSet? Welcome
    {
        get
        {
            ServerPool kept = Lender ?? this;
            return ByHost?.Cluster.Config.Routing switch
            {
                RoutingRule.Replica => kept._welcomeOfReplica,
                RoutingRule.PreferReplica => kept._welcomeOfReplica ?? kept._welcome,
                RoutingRule.ReadWriteSplit when ByHost.Cluster.State.WritablePrimary == null => kept._welcome ?? kept._welcomeOfReplica,
                _ => kept._welcome,
            };
        }
    }

    /// <summary>Why the last login failed; null after one that succeeded.</summary>
    public ErrorFields? LoginFailure { get; set; }

    /// <summary>Thread clock, microseconds, when that was.</summary>
    public long LoginFailedAt { get; private set; }

    /// <summary>Thread clock, microseconds: no new login before.</summary>
    public long RetryAt { get; set; }

    public int Waiting { get; private set; }

    /// <summary>Those of them that are logging in.</summary>
    public int WaitingLogins { get; private set; }

    /// <summary>Read without the lock, as a hint for fairness.</summary>
    public bool HasWaiters => Waiting > 0;

    /// <summary>Clients at work or waiting; read without the lock, as a hint for balance.</summary>
    public int Load => Slots.Count - IdleCount + Waiting;

    public int IdleCount
    {
        get
        {
            int count = 0;
            foreach (SlotList list in Idle)
            {
                count += list.Count; // No LINQ: the router asks for each request.
            }

            return count;
        }
    }

    /// <summary>Those of one host.</summary>
    public ServerTimes?[] TimesOf(HostAddress host)
    {
        if (!_times.TryGetValue(host, out ServerTimes?[]? times))
        {
            _times.Add(host, times = new ServerTimes?[Stats.Length]);
        }

        return times;
    }

    /// <summary>A server of the pool, or of one of its hosts, has logged in and reports this.</summary>
    public void Learn(WelcomeSet welcome, bool isOfReplica)
    {
        if (isOfReplica)
        {
            _welcomeOfReplica = welcome;
        }
        else
        {
            _welcome = welcome;
        }
    }

    /// <summary>Its servers will be others.</summary>
    public void ForgetWelcome() => _welcome = _welcomeOfReplica = null;

    /// <summary>What the entry that made it knows of its host, or one that shares it: each has probes of its own, and one may be ahead.</summary>
    private bool IsSeenAs(HostRole role) => Key.Host is { } host && (Front.Sees(host, role) || Front._borrowers.Exists(borrower => borrower.Sees(host, role)));

    private bool Sees(HostAddress host, HostRole role) => ByHost is { } hosts && hosts.Cluster.State.Hosts.Any(h => h.Address == host && h.Role == role);

    /// <summary>Puts a waiter into its thread's queue: at the end, or back at the head when its server was lost on the way.</summary>
    public void Enqueue(Waiter waiter, bool atHead)
    {
        WaiterQueue queue = Waiters[waiter.Thread!.Index];
        if (atHead)
        {
            queue.Prepend(waiter);
        }
        else
        {
            queue.Append(waiter);
        }

        waiter.State = WaiterState.Waiting;
        waiter.HeldSince = ByHost == null ? 0 : waiter.HeldSince == 0 ? waiter.Thread.Now : waiter.HeldSince;
        if (Waiting++ == 0)
        {
            Database.Waiting.Add(this);
            User.Waiting.Add(this);
            foreach (ServerCount host in Hosts)
            {
                host.Waiting.Add(this);
            }
        }

        WaitingLogins += waiter.WantsWelcome ? 1 : 0;
    }

    public void Dequeue(Waiter waiter)
    {
        Waiters[waiter.Thread!.Index].Remove(waiter);
        if (--Waiting == 0)
        {
            Database.Waiting.Remove(this);
            User.Waiting.Remove(this);
            foreach (ServerCount host in Hosts)
            {
                host.Waiting.Remove(this);
            }
        }

        WaitingLogins -= waiter.WantsWelcome ? 1 : 0;
    }

    /// <summary>It shares this cap from now on.</summary>
    public void Join(ServerCount count)
    {
        count.Pools.Add(this);
        if (HasWaiters)
        {
            count.Waiting.Add(this);
        }
    }

    public void Leave(ServerCount count)
    {
        count.Pools.Remove(this);
        count.Waiting.Remove(this);
    }

    /// <summary>Takes everybody out of the queues, the oldest of each thread first: they are to ask again.</summary>
    public void DequeueAll(List<Waiter> rerouted)
    {
        foreach (WaiterQueue queue in Waiters)
        {
            while (queue.Oldest is { } waiter)
            {
                Dequeue(waiter);
                waiter.State = WaiterState.Rerouted;
                rerouted.Add(waiter);
            }
        }
    }

    /// <summary>Takes those out of the queues that no host could take for too long.</summary>
    public void DequeueHeld(long since, HostCluster cluster, List<Waiter> failed)
    {
        foreach (WaiterQueue queue in Waiters)
        {
            for (Waiter? waiter = queue.Oldest, next; waiter != null; waiter = next)
            {
                next = waiter.Next;
                if (waiter.HeldSince <= since)
                {
                    Dequeue(waiter);
                    waiter.State = WaiterState.Failed;
                    waiter.Error = cluster.Shortage;
                    failed.Add(waiter);
                }
            }
        }
    }

    /// <summary>Takes those out of the queues that log in and wait for the pool's first server only.</summary>
    public List<Waiter> DequeueLogins(WaiterState outcome)
    {
        List<Waiter> logins = [];
        foreach (WaiterQueue queue in Waiters)
        {
            for (Waiter? waiter = queue.Oldest, next; waiter != null; waiter = next)
            {
                next = waiter.Next;
                if (waiter.WantsWelcome)
                {
                    Dequeue(waiter);
                    waiter.State = outcome;
                    logins.Add(waiter);
                }
            }
        }

        return logins;
    }

    /// <summary>What a client is told that asks for the first server while logins fail.</summary>
    public ErrorFields CachedFailure => ServerErrors.LoginFailing.Because(
        LoginFailure!.Detail ?? "", SettingPlace.Global(Config.Settings.ServerLoginRetry, Config.Settings.ServerLoginRetry.Format(Settings.ServerLoginRetry)), LoginFailure.Message) with
    {
        SqlState = LoginFailure.SqlState,
    };

    /// <summary>
    /// It says that a host of a cluster is gone or going: the monitor is looking, and whoever logs in waits for what it finds.
    /// </summary>
    public bool IsHeldBy(ErrorFields failure) => Key.Host != null && ServerHealth.IsOfHost(failure);

    /// <summary>A login has failed. Those who fail with it, if it was the pool's only server.</summary>
    public List<Waiter>? RecordLoginFailure(ErrorFields? failure, long now)
    {
        LoginFailure = failure ?? ServerErrors.Crashed.Fields();

        LoginFailedAt = now;

        // A server that is starting or full will soon take logins again; anything else waits as PgBouncer does.
        bool isHeld = IsHeldBy(LoginFailure), soon = isHeld || LoginFailure.SqlState is "57P03" or "53300";
        RetryAt = now + (soon ? 300_000 : (long)Settings.ServerLoginRetry.TotalMicroseconds);
        if (isHeld || Slots.Count > 1)
        {
            return null;
        }

        List<Waiter> failed = DequeueLogins(WaiterState.Failed);
        failed.ForEach(w => w.Error = LoginFailure);
        return failed;
    }

    /// <summary>The waiter that has waited longest, on any thread.</summary>
    public Waiter? OldestWaiter
    {
        get
        {
            Waiter? oldest = null;
            foreach (WaiterQueue queue in Waiters)
            {
                if (queue.Oldest is { } waiter && (oldest == null || waiter.Since < oldest.Since))
                {
                    oldest = waiter;
                }
            }

            return oldest;
        }
    }
}
