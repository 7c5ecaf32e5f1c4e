using Pooler.Cluster;
using Pooler.Pooling;

namespace Pooler.Routing;

/// <summary>
/// What a session's next read must not miss: what it has written, and what it has seen, for its reads do not go back in time. A
/// replica may serve it when one of its samples has reached the first sample of the primary that was asked for later
/// (<see cref="ClusterState.Bound"/>), or when it is the one that answered last. All times are <c>IoThread.Clock</c>, taken when
/// the answer was there: that of the turn is earlier, and a sample in between might lack the write.
/// </summary>
internal sealed class ReadBound(HostPools hosts)
{
    // The last answers of the primary and of a replica, and which one that was; what was known to be on it then.
    private long _wroteAt, _readAt, _coveredWrite, _coveredPosition;
    private int _replica = -1, _epoch;

    // Of the last question whether a server will do.
    private long _admittedWrite;
    private int _admittedEpoch;

    // What the last question for a position gave.
    private long _askedFor, _position;
    private (int Epoch, DateTime Started) _askedOf;

    /// <summary>The hosts it speaks of: after a RELOAD that names others it is of no use.</summary>
    public HostPools Hosts => hosts;

    /// <summary>A WAL position that reads must have reached, brought from another process (pooler.min_lsn); 0: none.</summary>
    public long Least { get; set; }

    private bool IsShared => hosts.Cluster.Config.ReadAfterWrite == Config.ReadAfterWrite.User;

    private long WroteAt => IsShared ? Math.Max(_wroteAt, hosts.WroteAt) : _wroteAt;

    /// <summary>
    /// The primary has answered: something may have been written, or shown that no replica has yet. What was only shown binds its own
    /// session: reads of many would else keep each other on the primary.
    /// </summary>
    public void AnsweredByPrimary(long now, bool mayHaveWritten)
    {
        _wroteAt = now;
        _replica = -1;
        if (IsShared && mayHaveWritten)
        {
            hosts.Wrote(now);
        }

        hosts.Cluster.WantSample(now);
    }

    /// <summary>A replica has answered that <see cref="Admits"/> said yes to.</summary>
    public void AnsweredByReplica(int host, long now)
    {
        (_replica, _readAt) = (host, now);
        (_coveredWrite, _coveredPosition, _epoch) = (_admittedWrite, Least, _admittedEpoch);
    }

    /// <summary>Of the readable hosts those that may serve the next read: bit i is host i.</summary>
    public ulong Admitted(ClusterState state, ulong readable)
    {
        ulong admitted = 0;
        for (int i = 0; i < state.Hosts.Length; i++)
        {
            if ((readable & (1ul << i)) != 0 && (IsFree || IsWhereItWas(state, i) || HasReached(state, i)))
            {
                admitted |= 1ul << i;
            }
        }

        if (admitted == 0 && readable != 0)
        {
            // It goes to the primary, and wants to know when it no longer has to.
            hosts.Cluster.WantSample(PositionFor(state) == null ? Floor : LatestQuestion(state));
        }

        return admitted;
    }

    /// <summary>
    /// Whether the server that was found is of the postmaster that was spoken of: it was there before the question, and lives. One
    /// that has come later may be of a postmaster that started again and replays from further back.
    /// </summary>
    /// <param name="loggedInAt">When the server's login was through.</param>
    public bool Admits(ClusterState state, int host, long loggedInAt)
    {
        bool admits = IsFree
            || (IsWhereItWas(state, host) && loggedInAt <= _readAt)
            || (HasReached(state, host) && loggedInAt <= state.Hosts[host].AskedAt);
        (_admittedWrite, _admittedEpoch) = (WroteAt, state.Epoch);
        if (!admits)
        {
            hosts.Cluster.WantSample(loggedInAt);
        }

        return admits;
    }

    /// <summary>The position that reads have to have reached, asked for from the primary if it is not known; 0: any will do.</summary>
    public long? Position()
    {
        long? position = PositionFor(hosts.Cluster.State);
        if (position == null)
        {
            hosts.Cluster.WantSample(Floor);
        }

        return position;
    }

    /// <summary>As EXPLAIN (POOLER) says it.</summary>
    public string Text(ClusterState state) =>
        IsFree ? "none" : PositionFor(state) is { } position ? WalPosition.Text(position) : "the next sample of the primary";

    private static long LatestQuestion(ClusterState state)
    {
        long latest = 0;
        foreach (HostState host in state.Hosts)
        {
            latest = Math.Max(latest, host.AskedAt);
        }

        return latest;
    }

    private bool IsFree => Least == 0 && Floor == 0;

    private long Floor => Math.Max(WroteAt, _readAt);

    private bool IsWhereItWas(ClusterState state, int host) =>
        host == _replica && _coveredWrite >= WroteAt && _coveredPosition >= Least && _epoch == state.Epoch;

    // On another timeline positions mean something else, and those of a logical subscriber never mean the primary's.
    private bool HasReached(ClusterState state, int host) =>
        state.Hosts[host] is { IsLogical: false, Facts: { } facts } && facts.Timeline == state.Timeline && PositionFor(state) is { } position && facts.Position >= position;

    /// <summary>Null while there is no sample that is late enough; one of another primary, or another start of it, does not count.</summary>
    private long? PositionFor(ClusterState state)
    {
        long floor = Floor;
        if (floor == 0)
        {
            return Least;
        }

        if (_askedFor != floor || _askedOf != (state.Epoch, state.Started))
        {
            if (state.Bound(floor) is not { } position)
            {
                return null;
            }

            (_askedFor, _askedOf, _position) = (floor, (state.Epoch, state.Started), position);
        }

        return Math.Max(_position, Least);
    }
}
