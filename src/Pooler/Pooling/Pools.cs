using System.Collections.Immutable;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>
/// All pools of the process under ONE short lock: lending, giving back, waiting, counting. Nothing is awaited, sent, logged or
/// called back under it; what follows from a decision is done after it was left.
/// </summary>
internal sealed class Pools
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

    /// <summary>The prepared statements that clients and servers share.</summary>
    public StatementCatalogue Statements { get; } = new();

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

            if (!pool.IsPaused && TakeIdle(pool, thread) is { } slot)
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
    public string? CountClient(ServerPool pool, string user, int mostOfDatabase, int mostOfUser)
    {
        lock (_lock)
        {
            ServerCount perUser = CountOf(_users, user);
            if (mostOfDatabase > 0 && pool.Database.Clients >= mostOfDatabase)
            {
                return Settings.MaxDbClientConnections.Name;
            }

            if (mostOfUser > 0 && perUser.Clients >= mostOfUser)
            {
                return Settings.MaxUserClientConnections.Name;
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

    /// <summary>What is due by time alone: new servers for waiters, minimum size, servers idle or alive too long.</summary>
    public void Maintain(long now)
    {
        foreach (DatabaseConfig database in _source.KeptWithoutClients)
        {
            Get(database, database.ForcedUser!);
        }

        List<ServerSlot> replaced = [];
        var expired = new PoolChange();
        List<Waiter> failed = [];
        List<ServerPool> unused = [];
        var todo = default(PoolTodo);
        lock (_lock)
        {
            foreach (ServerPool pool in _pools.Values)
            {
                PoolGrowth.CloseExpired(pool, now, expired);
                PoolGrowth.CollectReplaced(pool, replaced);
                pool.ByHost?.FailHeld(pool, now, failed);
                _growth.EnsureServers(pool, now, ref todo);
                _growth.EnsureMinimum(pool, now, ref todo);
                if (IsUnused(pool, now))
                {
                    unused.Add(pool);
                }
            }

            unused.ForEach(Forget);
        }

        todo.Do();
        foreach (ServerSlot slot in replaced)
        {
            slot.Server.Thread.Post(() => slot.Server.Owner.EndIfFree(slot.Server, "database configuration changed"));
        }

        expired.Do();
        failed.ForEach(static w => w.PostWake());
    }

    /// <summary>
    /// PAUSE: no new lends; idle servers close, the others at their release. Null: all databases. False when it was paused already.
    /// </summary>
    public bool Pause(string? database)
    {
        var change = new PoolChange();
        bool isNew;
        lock (_lock)
        {
            isNew = _pauses.Begin(database, PauseMode.Paused);
            foreach (ServerPool pool in Matching(database))
            {
                pool.Pause = PauseMode.Paused;
                change.CloseIdle(pool, "pause mode");
            }
        }

        change.Do();
        return isNew;
    }

    /// <summary>SUSPEND: no new lends, and the servers stay. False when all databases are paused or suspended, or one is paused.</summary>
    public bool Suspend()
    {
        lock (_lock)
        {
            if (_pauses.HasDatabases || !_pauses.Begin(null, PauseMode.Suspended))
            {
                return false;
            }

            foreach (ServerPool pool in _pools.Values)
            {
                pool.Pause = PauseMode.Suspended;
            }

            return true;
        }
    }

    /// <summary>What holds for all databases.</summary>
    public PauseMode PauseOfAll
    {
        get
        {
            lock (_lock)
            {
                return _pauses.All;
            }
        }
    }

    /// <summary>Whether a pause of just this holds (null: of all databases).</summary>
    public bool IsPaused(string? database)
    {
        lock (_lock)
        {
            return _pauses.Contains(database);
        }
    }

    /// <summary>RESUME: waiting clients get their servers. False when it was not paused.</summary>
    public bool Resume(string? database, long now)
    {
        bool was;
        var change = new PoolChange();
        var todo = default(PoolTodo);
        lock (_lock)
        {
            was = _pauses.End(database);
            foreach (ServerPool pool in Matching(database))
            {
                if (pool.Pause == PauseMode.Suspended)
                {
                    change.Reroute(pool); // There are idle servers: who waits asks again.
                }

                pool.Pause = _pauses.Of(pool.Key.Database);
                _growth.EnsureServers(pool, now, ref todo);
            }
        }

        todo.Do();
        change.Do();
        return was;
    }

    /// <summary>Servers still open under a database (null: all).</summary>
    public int OpenServers(string? database) => OpenServers(database, static _ => true);

    /// <summary>Those of them that are as asked; the question is put under the lock.</summary>
    public int OpenServers(string? database, Func<ServerSlot, bool> which)
    {
        lock (_lock)
        {
            return Matching(database).Sum(pool => pool.Slots.Count(which));
        }
    }

    /// <summary>A command of the console over the servers of a database (null: of all): decided under the lock, done when it was left.</summary>
    public void Change(string? database, Action<ServerPool, PoolChange> decide)
    {
        var change = new PoolChange();
        lock (_lock)
        {
            foreach (ServerPool pool in Matching(database))
            {
                decide(pool, change);
            }
        }

        change.Do();
    }

    /// <summary>DISABLE and ENABLE: whether new clients of a database are refused. Those that are here stay.</summary>
    public void Disable(string database, bool isDisabled)
    {
        lock (_lock)
        {
            _ = isDisabled ? _disabled.Add(database) : _disabled.Remove(database);
        }
    }

    public bool IsDisabled(string database)
    {
        lock (_lock)
        {
            return _disabled.Contains(database);
        }
    }

    /// <summary>Puts new settings in force; servers made under another target close at their release.</summary>
    public void Reconfigure(long now)
    {
        var change = new PoolChange();
        var todo = default(PoolTodo);
        lock (_lock)
        {
            foreach (ServerPool pool in _pools.Values.ToArray())
            {
                bool isRouted = pool.Key.Host != null || pool.ByHost != null;
                if (_source.Reconfigure(pool) | HasMoved(pool))
                {
                    change.Retire(pool, "database configuration changed");
                }

                SetHosts(pool);

                if (isRouted || pool.ByHost != null)
                {
                    change.Reroute(pool);
                }

                _growth.EnsureServers(pool, now, ref todo);
            }
        }

        todo.Do();
        change.Do();
    }

    /// <summary>A cluster's hosts have changed, on any thread.</summary>
    public void HostsChanged(HostCluster cluster, ClusterState before, ClusterState after)
    {
        var change = new PoolChange();
        lock (_lock)
        {
            foreach (ServerPool front in _pools.Values.Where(p => p.ByHost?.Cluster == cluster))
            {
                change.Reroute(front);
                front.ByHost!.Changed(before, after, change);
            }
        }

        change.Do();
    }

    /// <summary>
    /// A host's name stands for other addresses now: servers at those that are gone are closed when they are released (PgBouncer's
    /// tag_host_addr_dirty). Any thread.
    /// </summary>
    public void AddressesChanged(string name, ImmutableArray<System.Net.IPAddress> addresses) =>
        Change(null, (pool, change) => change.Retire(pool, Moved, slot => slot.Server.Host.Name == name && !slot.Server.IsAtOneOf(addresses)));

    /// <summary>The names of hosts to which there are servers, and of those that are probed.</summary>
    public HashSet<string> NamesInUse()
    {
        List<HostAddress> hosts = [.. _source.ProbedHosts];
        lock (_lock)
        {
            hosts.AddRange(_pools.Values.Where(static p => p.Slots.Count > 0).SelectMany(static p => p.Target.Hosts));
        }

        return [.. hosts.Where(static h => h.IsName).Select(static h => h.Name)];
    }

    /// <summary>Whether clients of the cluster hold servers of a host, or are about to.</summary>
    public bool IsUsed(HostCluster cluster, HostAddress host)
    {
        lock (_lock)
        {
            return _pools.Values.Where(p => p.ByHost?.Cluster == cluster).SelectMany(static p => p.ByHost!.Pools).Where(p => p.Key.Host == host)
                .Any(static p => p.Slots.Any(static s => s.State is SlotState.Active or SlotState.Moving));
        }
    }

    /// <summary>After a RELOAD. True when the pool had servers of its own and has them by host now, or the other way round.</summary>
    private bool HasMoved(ServerPool pool)
    {
        if (pool.Key.Host != null)
        {
            return _source.ClusterOf(pool.Key.Database) == null;
        }

        bool had = pool.ByHost != null;
        pool.ByHost = HostsOf(pool);
        pool.ByHost?.Wrote(IoThread.Clock()); // What was known of writes went with the old ones.
        bool hasMoved = had != (pool.ByHost != null);
        if (hasMoved)
        {
            pool.ForgetWelcome();
        }

        return hasMoved;
    }

    /// <summary>
    /// Whether nobody has used it for so long that it is forgotten: pool_idle_timeout, for all pools of a database made from the entry
    /// * autodb_idle_timeout, and at once when its entry is gone. Those of hosts belong to others.
    /// </summary>
    private bool IsUnused(ServerPool pool, long now)
    {
        if (pool.Clients > 0 || pool.Slots.Count > 0 || pool.HasWaiters || pool.IsPaused || pool.Key.Host != null || pool.ByHost != null || pool.IsShared)
        {
            pool.UnusedSince = 0;
            return false;
        }

        pool.UnusedSince = pool.UnusedSince == 0 ? now : pool.UnusedSince;
        (long ofPool, long ofDatabase) = _source.UnusedLimitsOf(pool.Key.Database);
        return pool.IsRemoved || now - pool.UnusedSince > ofPool || pool.Database.Pools.TrueForAll(p => p.UnusedSince > 0 && now - p.UnusedSince > ofDatabase);
    }

    private void Forget(ServerPool pool)
    {
        _pools.Remove(pool.Key);
        pool.Leave(pool.Database);
        pool.Leave(pool.User);
        pool.Hosts = [];
        pool.Lender = null;
        if (pool.Database.Pools.Count == 0)
        {
            _databases.Remove(pool.Key.Database);
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

    private static ServerSlot? TakeIdle(ServerPool pool, IoThread thread)
    {
        SlotList idle = pool.Idle[thread.Index];
        ServerSlot? slot = pool.Settings.RoundRobin ? idle.Oldest : idle.Newest;
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

    private IEnumerable<ServerPool> Matching(string? database) =>
        database == null ? _pools.Values : _databases.GetValueOrDefault(database)?.Pools ?? [];

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
