using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>
/// A server's place in its pool, and its owner while no client holds it: what an idle server sends reaches nobody.
/// </summary>
internal sealed class ServerSlot : ServerOwner
{
    // Sent ahead to a new server; what else is used it gets when it is used.
    private const long MostWarmUpBytes = 256 * 1024;

    internal ServerSlot? Newer, Older;

    private readonly ServerTimes?[] _times;

    /// <param name="host">Which of the pool's hosts it goes to.</param>
    public ServerSlot(Pools pools, ServerPool pool, int host, IoThread thread)
    {
        Pools = pools;
        Pool = pool;
        Host = pool.Hosts[host];
        Server = new ServerConnection(thread, pool.Target, pool.Target.Hosts[host], this, pools.Statements, static server => ((ServerSlot)server.Owner).OnLoggedIn())
        {
            IsReadOnly = pool.IsOfSubscriber,
        };

        _times = pool.TimesOf(Server.Host);

        // A tenth at most: servers that were opened together, of many pools, do not all end together.
        LifeShare = 1 - (Random.Shared.NextDouble() / 10);
    }

    public Pools Pools { get; }

    public ServerPool Pool { get; }

    public ServerConnection Server { get; }

    /// <summary>What is open on its host.</summary>
    public ServerCount Host { get; }

    /// <summary>How long things take with it and the others of its pool on its host, as the thread it is on sees it.</summary>
    public ServerTimes Times => _times[Server.Thread.Index] ??= new ServerTimes();

    /// <summary>How much of server_lifetime it has.</summary>
    public double LifeShare { get; }

    /// <summary>The pool that gets its place once it is gone.</summary>
    internal ServerPool? GivesWayTo { get; set; }

    /// <summary>Changes only under the pools' lock.</summary>
    internal SlotState State { get; set; }

    /// <summary>Counts lends: whoever comes back from an await compares it.</summary>
    internal int Generation { get; set; }

    /// <summary>A client has had it: with server_lifetime = 0 that was its one use.</summary>
    internal bool HasServed { get; set; }

    /// <summary>It has not been free yet: it connects, logs in, or is made ready (connect_query, prepared_statement_warmup).</summary>
    internal bool IsOpening { get; set; } = true;

    /// <summary>Close it at its next release: RELOAD, RECONNECT or its name's addresses ask for it.</summary>
    internal bool CloseNeeded => CloseReason != null;

    /// <summary>Why, as the log says it.</summary>
    internal string? CloseReason { get; set; }

    /// <summary>Thread clock, microseconds, when it was last given back.</summary>
    internal long IdleSince { get; set; }

    /// <summary>Idle for longer than server_check_delay: it is checked before its next client.</summary>
    public bool NeedsCheck(long now) =>
        Pool.Settings.ServerCheckQuery.Length > 0 && now - IdleSince >= (long)Pool.Settings.ServerCheckDelay.TotalMicroseconds;

    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int at = 0;
        while (data.Length - at >= FrameHeader.Size)
        {
            ReadOnlySpan<byte> rest = data[at..];
            long length = FrameHeader.FrameLength(rest);
            byte type = rest[0];
            bool isExpected = type is BackendMessage.ParameterStatus or BackendMessage.NoticeResponse or BackendMessage.NotificationResponse
                or BackendMessage.ErrorResponse;
            if (!isExpected || !BackendFrame.IsPossible(type, length) || length > BlockPool.BlockSize)
            {
                bool isPossible = BackendFrame.IsPossible(type, length);
                server.Close(ServerErrors.Violation.Fields(isPossible ? $"idle server sent {BackendFrame.Describe(type)}: out of step" : BackendFrame.Problem(rest)));
                return data.Length;
            }

            if (rest.Length < length)
            {
                break;
            }

            ReadOnlySpan<byte> body = rest[FrameHeader.Size..(int)length];
            if (type == BackendMessage.ErrorResponse)
            {
                server.Close(ErrorFields.Parse(body));
                return data.Length;
            }

            if (type == BackendMessage.ParameterStatus)
            {
                server.Record(body, out _);
                if (server.Failure != null)
                {
                    return data.Length;
                }
            }

            at += (int)length;
        }

        return at;
    }

    internal override void Closed(ServerConnection server) => Pools.Remove(this, server.Failure);

    internal override void CancelEnded(ServerConnection server) => TakeBack();

    /// <summary>The session or housekeeping is done with it and it is clean.</summary>
    internal void TakeBack()
    {
        Server.Owner = this;
        if (Server.CancelsInFlight > 0)
        {
            // It would hit the next client's query. PgBouncer: such a server is "being canceled" until the request has ended.
            Pools.SetUsed(this, SlotState.BeingCanceled);
        }
        else if (Server.IsCancelDoubtful && Server.Failure == null)
        {
            Server.Terminate("a cancel request for it may still be under way (cancel_wait_timeout)");
        }
        else
        {
            Pools.Release(this);
        }
    }

    /// <summary>It gives way to a waiter of a pool that shares a cap with it.</summary>
    internal void Evict() => Server.Terminate("evicted");

    /// <summary>It was idle for long (server_check_delay): the next client gets it only if it still answers.</summary>
    internal void Check() => Server.Thread.Post(() =>
    {
        if (!Server.IsClosed)
        {
            string query = Pool.Settings.ServerCheckQuery == PoolSettings.EmptyCheckQuery ? "" : Pool.Settings.ServerCheckQuery;
            Housekeeping.Run(Server, [query], errorsAreFatal: true, Pool.Settings.ServerConnectTimeout, this, _ => TakeBack());
        }
    });

    /// <summary>
    /// Brings an idle server to a waiter of another thread. Runs on the server's thread, outside any frame of its loop: only a
    /// server that is parked, with nothing unread and nothing unsent, may go.
    /// </summary>
    internal void MoveTo(Waiter waiter)
    {
        Connection socket = Server.Socket;
        socket.Detach(isFree =>
        {
            if (!isFree)
            {
                Pools.MoveFailed(this, waiter);
                return;
            }

            IoThread target = waiter.Thread!;
            target.Post(() =>
            {
                socket.Attach(target);
                Pools.Arrived(this, waiter);
            });
        });
    }

    private void OnLoggedIn()
    {
        Pools.Welcome(this);
        string? connectQuery = Pool.Settings.ConnectQuery;
        if (string.IsNullOrEmpty(connectQuery))
        {
            WarmUp();
        }
        else
        {
            // PgBouncer: errors of connect_query are logged and ignored.
            Housekeeping.Run(Server, [connectQuery], errorsAreFatal: false, Pool.Settings.ServerConnectTimeout, this, _ => OnSetUp());
        }
    }

    private void OnSetUp()
    {
        if (Server.Complaint is { } error)
        {
            Pools.ConnectQueryFailed(this, error);
        }

        WarmUp();
    }

    /// <summary>prepared_statement_warmup: what clients use most is prepared before the first of them has this server.</summary>
    private void WarmUp()
    {
        PoolSettings settings = Pool.Settings;
        int count = settings.Mode == PoolMode.Session ? 0 : Math.Min(settings.PreparedStatementWarmUp, settings.MaxPreparedStatements);
        if (count == 0)
        {
            TakeBack();
            return;
        }

        Server.Owner = this;
        _ = WarmUpAsync(count);
    }

    private async Task WarmUpAsync(int count)
    {
        try
        {
            // Only what is read under the settings that it has now.
            var identity = StatementIdentity.Of(Pool.Key.Database, Pool.Key.User, Server.Parameters, StartupParameters.Empty);
            PreparedStatement[] hottest = await Offload.Run(
                Server.Socket, static s => s.Statements.TakeHottest(s.identity, s.count, MostWarmUpBytes), (Pools.Statements, identity, count));
            if (hottest.Length > 0 && !Server.IsClosed && Server.Failure == null)
            {
                Pool.Front.Stats[Server.Thread.Index].ServerParses += hottest.Length;
                Housekeeping.WarmUp(Server, hottest, Pool.Settings.ServerConnectTimeout, this, _ => TakeBack());
            }
            else if (!Server.IsClosed)
            {
                TakeBack();
            }

            Array.ForEach(hottest, Pools.Statements.LetGo);
        }
        catch (Exception e)
        {
            IoThread.Defect($"Warm-up: {e}");
            Server.Close(ServerErrors.Internal.Fields());
        }
    }
}
