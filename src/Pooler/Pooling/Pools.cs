using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Telemetry;

namespace Pooler.Pooling;

/// <summary>
/// All pools of the process under ONE short lock: lending, giving back, waiting, counting. Nothing is awaited, sent, logged or
/// called back under it; what follows from a decision is done after it was left.
/// </summary>
internal sealed partial class Pools
{
    private const string Moved = "server address has changed (DNS)";

    private readonly Lock _lock = new();
    private readonly Dictionary<PoolKey, ServerPool> _pools = [];
    private readonly Dictionary<string, ServerCount> _databases = [], _users = [];
    private readonly Dictionary<HostAddress, ServerCount> _hosts = [];
    private readonly IoThread[] _threads;
    private readonly PoolSource _source;
    private readonly PoolGrowth _growth;
    private readonly ServerJournal _journal;
    private readonly PauseState _pauses = new();
    private readonly HashSet<string> _disabled = [];

    public Pools(IoThread[] threads, PoolSource source, ServerJournal journal)
    {
        _threads = threads;
        _source = source;
        _journal = journal;
        _growth = new PoolGrowth(this, threads);
    }

    /// <summary>What it is told, the log tells; it knows the configuration in force.</summary>
    public ServerJournal Journal => _journal;

    /// <summary>Why a waiter waits, for whoever gives up over it.</summary>
    public string DescribeWait(Waiter waiter)
    {
        PoolView view;
        lock (_lock)
        {
            view = PoolView.Of(waiter.Pool!);
        }

        return view.ToString();
    }

    /// <summary>The prepared statements that clients and servers share.</summary>
    public StatementCatalogue Statements { get; } = new();

    /// <summary>What has happened to clients and servers, by cause.</summary>
    public EventCounts Counts { get; } = new();

    /// <summary>The pool of a database entry and user, made at first use.</summary>
    public ServerPool Get(DatabaseConfig database, string user)
    {
        lock (_lock)
        {
            return FrontOf(database, user);
        }
    }

    private ServerPool FrontOf(DatabaseConfig database, string user)
    {
        // A forced user makes one pool for all clients of the entry (PgBouncer).
        var key = new PoolKey(database.Name, database.ForcedUser ?? user);
        if (!_pools.TryGetValue(key, out ServerPool? pool))
        {
            pool = Add(key, front: null, database);
            pool.ByHost = HostsOf(pool);
            SetHosts(pool);
        }

        pool.UnusedSince = 0; // Somebody is about to use it.
        return pool;
    }

    private ServerPool Add(PoolKey key, ServerPool? front, DatabaseConfig database)
    {
        ServerCount perDatabase = CountOf(_databases, key.Database), perUser = CountOf(_users, key.User);
        var pool = new ServerPool(key, front, _threads.Length, perDatabase, perUser);
        _source.Configure(pool, _source.InForce(database));
        pool.Pause = _pauses.Of(key.Database);
        pool.Join(perDatabase);
        pool.Join(perUser);
        SetHosts(pool);
        _pools.Add(key, pool);
        return pool;
    }

    /// <summary>Where its servers are counted (max_host_connections), which a RELOAD can change.</summary>
    private void SetHosts(ServerPool pool)
    {
        ServerCount[] hosts = pool.ByHost != null ? [] : [.. pool.Target.Hosts.Select(host => CountOf(_hosts, host))];
        if (!hosts.SequenceEqual(pool.Hosts))
        {
            pool.Hosts = hosts;
        }
    }

    /// <summary>The pools of the hosts, if the entry has routing: its own, or those of the entry whose it shares.</summary>
    private HostPools? HostsOf(ServerPool front)
    {
        front.Lender = _source.LenderOf(front.DatabaseConfig) is { } lender ? FrontOf(lender, front.Key.User) : null;
        return _source.ClusterOf(front.Key.Database) is not { } cluster ? null
            : new HostPools(cluster, [.. cluster.Config.Hosts.Select(host => PoolOf(front.Lender ?? front, host))]);
    }

    private ServerPool PoolOf(ServerPool front, HostAddress host)
    {
        PoolKey key = front.Key with { Host = host };
        return _pools.TryGetValue(key, out ServerPool? pool) ? pool : Add(key, front, front.DatabaseConfig);
    }

    /// <summary>Runs <paramref name="read"/> over all pools under the lock; it must only copy.</summary>
    public void Read(Action<IEnumerable<ServerPool>> read)
    {
        lock (_lock)
        {
            read(_pools.Values);
        }
    }

    /// <summary>
    /// Lends a server at once, or puts the waiter into the queue and returns null. A waiter that failed at once has
    /// <see cref="WaiterState.Failed"/>.
    /// </summary>
    public ServerSlot? Acquire(ServerPool pool, Waiter waiter, IoThread thread, bool atHead = false)
    {
        ServerSlot? granted = null, toCheck = null;
        var todo = default(PoolTodo);
        lock (_lock)
        {
            waiter.Pool = pool;
            waiter.Thread = thread;
            waiter.Slot = null;
            waiter.Error = null;
            if (!atHead && waiter.State != WaiterState.Rerouted)
            {
                waiter.Since = thread.Now;
                waiter.HeldSince = 0;
            }

            if (!pool.IsPaused && TakeIdle(pool, waiter, thread) is { } slot)
            {
                if (slot.NeedsCheck(thread.Now))
                {
                    slot.State = SlotState.Housekeeping;
                    toCheck = slot;
                    pool.Enqueue(waiter, atHead);
                }
                else
                {
                    Lend(slot);
                    waiter.State = WaiterState.Idle;
                    granted = slot;
                }
            }
            else
            {
                pool.Enqueue(waiter, atHead);
                MoveIdleFor(pool, waiter, ref todo);
                _growth.EnsureServers(pool, thread.Now, ref todo);
            }
        }

        todo.Do();
        toCheck?.Check();
        pool.ByHost?.Cluster.WantHost(thread.Now);
        return granted;
    }

    /// <summary>A login that needs to know what the pool's servers report: opens the first server, or fails at once while logins fail.</summary>
    /// <param name="front">The pool that the client belongs to.</param>
    /// <param name="pool">Of the host that is to tell.</param>
    public void AcquireWelcome(ServerPool front, ServerPool pool, Waiter waiter, IoThread thread)
    {
        var todo = default(PoolTodo);
        lock (_lock)
        {
            waiter.Pool = pool;
            waiter.Thread = thread;
            waiter.Since = thread.Now;
            if (front.Welcome != null)
            {
                waiter.State = WaiterState.Granted;
            }
            else if (pool.LoginFailure != null && !pool.IsHeldBy(pool.LoginFailure) && pool.Slots.Count == 0 && thread.Now < pool.RetryAt)
            {
                waiter.State = WaiterState.Failed;
                waiter.Error = pool.CachedFailure;
            }
            else
            {
                pool.Enqueue(waiter, atHead: false);
                _growth.EnsureServers(pool, thread.Now, ref todo);
            }
        }

        todo.Do();
        pool.ByHost?.Cluster.WantHost(thread.Now);
    }

    /// <summary>A waiter stops waiting. False when a server had been granted meanwhile: it is then the caller's to give back.</summary>
    public bool Leave(Waiter waiter)
    {
        lock (_lock)
        {
            switch (waiter.State)
            {
                case WaiterState.Waiting:
                    waiter.Pool!.Dequeue(waiter);
                    waiter.State = WaiterState.Idle;
                    return true;
                case WaiterState.Granted when waiter.Slot != null:
                    return false;
                default:
                    // Bound: the move finds nobody waiting and leaves the server idle.
                    waiter.State = WaiterState.Idle;
                    return true;
            }
        }
    }

    /// <summary>Takes a waiter back that is still in a queue, to ask again elsewhere; it keeps its time of waiting.</summary>
    public bool TakeBack(Waiter waiter)
    {
        lock (_lock)
        {
            if (waiter.State != WaiterState.Waiting)
            {
                return false;
            }

            waiter.Pool!.Dequeue(waiter);
            waiter.State = WaiterState.Rerouted;
            return true;
        }
    }

    /// <summary>A clean server comes back, on its own thread: to the oldest waiter, or to the idle ones.</summary>
    public void Release(ServerSlot slot)
    {
        IoThread thread = slot.Server.Thread;
        Waiter? next = null;
        bool close;
        var todo = default(PoolTodo);
        lock (_lock)
        {
            ServerPool pool = slot.Pool;
            if (slot.State == SlotState.Gone || slot.Server.Failure != null)
            {
                return; // It died meanwhile: its reader loop removes it.
            }

            EndOpening(slot);
            slot.Generation++;
            slot.IdleSince = thread.Now;
            close = slot.CloseNeeded || pool.Pause == PauseMode.Paused || IsSurplus(pool) || PoolGrowth.EndsByAge(slot, thread.Now) || PoolGrowth.GivesWay(slot, thread.Now);
            if (!close)
            {
                next = pool.IsPaused ? null : PickWaiter(pool, thread);
                if (next == null)
                {
                    slot.State = SlotState.Idle;
                    pool.Idle[thread.Index].Push(slot);
                    if (pool.Settings.HasSharedCap)
                    {
                        _growth.EnsureNeighbours(slot, thread.Now, ref todo); // It may have to give way at once.
                    }
                }
                else if (next.Thread == thread)
                {
                    pool.Dequeue(next);
                    Lend(slot);
                    next.State = WaiterState.Granted;
                    next.Slot = slot;
                }
                else
                {
                    StartMove(slot, next, ref todo);
                    next = null;
                }
            }
        }

        todo.Do();
        if (close)
        {
            slot.Server.Terminate(slot.Pool.Pause == PauseMode.Paused ? "pause mode" : slot.CloseReason ?? (slot.GivesWayTo != null ? "evicted" : "server lifetime over"));
            return;
        }

        slot.Server.Socket.DispatchFirst = slot.State == SlotState.Idle;
        next?.Wake();
    }

    /// <summary>A session has let go of a server that is not free yet: it is being cleaned, or a cancel is under way to it.</summary>
    public void SetUsed(ServerSlot slot, SlotState state)
    {
        lock (_lock)
        {
            if (slot.State != SlotState.Gone)
            {
                slot.State = state;
                slot.Generation++;
            }
        }
    }

    /// <summary>A moved server has reached its waiter's thread; a waiter that has left meanwhile leaves it to the next.</summary>
    public void Arrived(ServerSlot slot, Waiter waiter)
    {
        bool granted = false, toCheck = false;
        lock (_lock)
        {
            if (waiter.State == WaiterState.Bound && !slot.Server.Socket.IsClosed && slot.NeedsCheck(slot.Server.Thread.Now))
            {
                slot.Pool.Enqueue(waiter, atHead: true);
                slot.State = SlotState.Housekeeping;
                toCheck = true;
            }
            else if (slot.Server.Socket.IsClosed)
            {
                if (waiter.State == WaiterState.Bound)
                {
                    slot.Pool.Enqueue(waiter, atHead: true);
                }
            }
            else if (waiter.State == WaiterState.Bound)
            {
                Lend(slot);
                waiter.State = WaiterState.Granted;
                waiter.Slot = slot;
                slot.Pool.Front.Stats[slot.Server.Thread.Index].MovedGrants++;
                granted = true;
            }
        }

        if (toCheck)
        {
            slot.Check();
        }
        else if (granted)
        {
            slot.Server.Socket.DispatchFirst = false;
            waiter.Wake();
        }
        else if (!slot.Server.Socket.IsClosed)
        {
            Release(slot);
        }
    }

    /// <summary>The server could not leave its thread: the waiter goes back to the head of its queue.</summary>
    public void MoveFailed(ServerSlot slot, Waiter waiter)
    {
        var todo = default(PoolTodo);
        lock (_lock)
        {
            if (waiter.State == WaiterState.Bound)
            {
                slot.Pool.Enqueue(waiter, atHead: true);
                _growth.EnsureServers(slot.Pool, slot.Server.Thread.Now, ref todo);
            }
        }

        todo.Do();
        if (!slot.Server.IsClosed)
        {
            Release(slot);
        }
    }

    /// <summary>A server is gone: its slot is free for any waiter under the same caps.</summary>
    public void Remove(ServerSlot slot, ErrorFields? failure)
    {
        IoThread thread = slot.Server.Thread;
        List<Waiter>? failed = null;
        bool wasLogin;
        var todo = default(PoolTodo);
        lock (_lock)
        {
            if (slot.State == SlotState.Gone)
            {
                return;
            }

            ServerPool pool = slot.Pool;
            if (slot.State == SlotState.Idle)
            {
                pool.Idle[thread.Index].Remove(slot);
            }

            EndOpening(slot);
            wasLogin = slot.State == SlotState.Login;
            if (wasLogin)
            {
                failed = pool.RecordLoginFailure(failure, thread.Now);
            }

            slot.State = SlotState.Gone;
            slot.Generation++;
            pool.Slots.Remove(slot);
            pool.Database.Servers--;
            pool.User.Servers--;
            slot.Host.Servers--;
            if (slot.GivesWayTo is { } next)
            {
                next.PlacesToCome--;
            }

            if (pool.Settings.HasSharedCap)
            {
                _growth.EnsureNeighbours(slot, thread.Now, ref todo);
            }
            else
            {
                _growth.EnsureServers(pool, thread.Now, ref todo);
            }
        }

        todo.Do();
        _source.ServerGone(slot, failure, wasLogin);
        Counts.ServerCloses.Add(slot.Pool.Key.Database, $"{slot.Server.Host}", CloseCause.OfServer(failure, wasLogin));
        _journal.Removed(slot, failure, wasLogin);
        failed?.ForEach(static w => w.PostWake());
    }

    /// <summary>The first login tells what the pool's servers report; those who waited for nothing else go on.</summary>
    public void Welcome(ServerSlot slot)
    {
        List<Waiter> welcomed;
        lock (_lock)
        {
            ServerPool pool = slot.Pool;
            pool.LoginFailure = null;
            bool isOfReplica = pool.Key.Host != null && (slot.Server.IsReadOnly || pool.IsOfReplica || slot.Server.Welcome.Contains(new("in_hot_standby", "on")));
            pool.Front.Learn(new WelcomeSet(slot.Server.Welcome, slot.Server.LoginParameters), isOfReplica);

            slot.CloseReason ??= slot.Server.IsObsolete ? Moved : null; // It was not seen to connect there when that became known.
            slot.State = SlotState.Housekeeping;
            welcomed = pool.DequeueLogins(WaiterState.Granted);
        }

        slot.Times.Connect.Record(IoThread.Clock() - slot.Server.StartedAt);
        _source.ServerOpened(slot);
        _journal.LoggedIn(slot);
        welcomed.ForEach(static w => w.PostWake());
    }

    /// <summary>A new server is used all the same (PgBouncer), and the operator is told.</summary>
    public void ConnectQueryFailed(ServerSlot slot, ErrorFields error) => _journal.ConnectQueryFailed(slot, error);

    /// <summary>
    /// A client enters a pool, unless there are as many as may be of its database or its user (0: no limit): then the setting that
    /// says so. The user is who logged in, under a forced user too (PgBouncer).
    /// </summary>
    public Setting? CountClient(ServerPool pool, string user, int mostOfDatabase, int mostOfUser)
    {
        lock (_lock)
        {
            ServerCount perUser = CountOf(_users, user);
            if (mostOfDatabase > 0 && pool.Database.Clients >= mostOfDatabase)
            {
                return Settings.MaxDbClientConnections;
            }

            if (mostOfUser > 0 && perUser.Clients >= mostOfUser)
            {
                return Settings.MaxUserClientConnections;
            }

            pool.Clients++;
            pool.Database.Clients++;
            perUser.Clients++;
            return null;
        }
    }

    public void UncountClient(ServerPool pool, string user)
    {
        lock (_lock)
        {
            pool.Clients--;
            pool.Database.Clients--;
            CountOf(_users, user).Clients--;
        }
    }

    /// <summary>Clients by the user they logged in as, which with a forced user is not their pool's.</summary>
    public Dictionary<string, int> ClientsByUser()
    {
        lock (_lock)
        {
            return _users.Where(static u => u.Value.Clients > 0).ToDictionary(static u => u.Key, static u => u.Value.Clients);
        }
    }

    private static ServerCount CountOf<T>(Dictionary<T, ServerCount> counts, T name)
        where T : notnull
    {
        if (!counts.TryGetValue(name, out ServerCount? count))
        {
            counts.Add(name, count = new ServerCount());
        }

        return count;
    }

    private static void EndOpening(ServerSlot slot)
    {
        slot.Pool.Opening -= slot.IsOpening ? 1 : 0;
        slot.IsOpening = false;
    }

    private static void Lend(ServerSlot slot)
    {
        slot.State = SlotState.Active;
        slot.HasServed = true;
        slot.Generation++;
    }

    private static ServerSlot? TakeIdle(ServerPool pool, Waiter waiter, IoThread thread)
    {
        SlotList idle = pool.Idle[thread.Index];
        ServerSlot? slot = pool.Settings.RoundRobin ? idle.Oldest : idle.NextFor(waiter, thread.Now);
        if (slot != null)
        {
            idle.Remove(slot);
        }

        return slot;
    }

    private static bool IsSurplus(ServerPool pool) =>
        pool.Settings.PoolSize > 0 && pool.Slots.Count > pool.Settings.PoolSize + pool.Settings.ReservePoolSize;

    /// <summary>The oldest of the server's own thread, unless another thread's has waited longer by more than 1 ms.</summary>
    private static Waiter? PickWaiter(ServerPool pool, IoThread thread)
    {
        Waiter? own = pool.Waiters[thread.Index].Oldest;
        if (pool.Waiters.Length == 1)
        {
            return own;
        }

        Waiter? oldest = pool.OldestWaiter;
        return own == null || (oldest != null && own.Since - oldest.Since > 1000) ? oldest : own;
    }

    /// <summary>An idle server of another thread is brought to a waiter that finds none on its own.</summary>
    private static void MoveIdleFor(ServerPool pool, Waiter waiter, ref PoolTodo todo)
    {
        if (pool.IsPaused || waiter.WantsWelcome)
        {
            return;
        }

        foreach (SlotList list in pool.Idle)
        {
            if (list.Newest is { } slot)
            {
                list.Remove(slot);
                StartMove(slot, waiter, ref todo);
                return;
            }
        }
    }

    private static void StartMove(ServerSlot slot, Waiter waiter, ref PoolTodo todo)
    {
        slot.Pool.Dequeue(waiter);
        waiter.State = WaiterState.Bound;
        slot.State = SlotState.Moving;
        todo.Add(slot.Server.Thread, () => slot.MoveTo(waiter));
    }
}
