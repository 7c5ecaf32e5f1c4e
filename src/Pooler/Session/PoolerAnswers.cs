using System.Text;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Answers a client what it asks of the pooler itself: SET, RESET and SHOW of pooler.…, EXPLAIN (POOLER). A setting is the
/// session's, holds from the next request on that is routed, and no ROLLBACK takes it back.
/// </summary>
internal sealed class PoolerAnswers(ClientSession session)
{
    private static readonly string[] Words = ["auto", "replica", "primary"];

    public const string RouteName = "pooler.route";
    private const string PositionName = "pooler.lsn", LeastName = "pooler.min_lsn";

    // From one look for a sample to the next, microseconds.
    private const long LookPeriod = 2_000;

    private PositionTimer? _timer;
    private long _askedAt;

    /// <summary>pooler.route: where the session's statements go unless they say it themselves.</summary>
    public RouteHint Route { get; private set; } = session.StartupRoute;

    /// <summary>A value of pooler.route; null if there is none such.</summary>
    public static RouteHint? HintOf(string value) => Array.FindIndex(Words, w => w.Equals(value, StringComparison.OrdinalIgnoreCase)) is >= 0 and int index ? (RouteHint)index : null;

    /// <summary>DISCARD ALL.</summary>
    public void Reset()
    {
        Route = session.StartupRoute;
        if (session.Route.Bound is { } bound)
        {
            bound.Least = 0;
        }
    }

    /// <summary>SHOW pooler.lsn waits for the sample of the primary that has what the session has written, failover_hold_time at most.</summary>
    public bool MustWait(in PoolerRequest request)
    {
        if (request.Statement.Command != PoolerCommand.Show || !Ascii.EqualsIgnoreCase(request.Statement.Name, "lsn"u8)
            || session.Route.Bound is not { } bound || bound.Position() != null)
        {
            return false;
        }

        IoThread thread = session.Thread;
        _askedAt = _askedAt == 0 ? thread.Now : _askedAt;
        bool waits = thread.Now - _askedAt < bound.Hosts.Cluster.Config.FailoverHoldTime.TotalMicroseconds;
        if (waits)
        {
            thread.Wheel.Set(_timer ??= new PositionTimer(session), thread.Now + LookPeriod);
        }

        return waits;
    }

    /// <summary>Writes the answer to a whole request.</summary>
    /// <param name="status">Of the client's transaction.</param>
    public void Answer(in PoolerRequest request, byte status)
    {
        PoolerStatement statement = request.Statement;
        string name = "pooler." + Encoding.UTF8.GetString(statement.Name).ToLowerInvariant();
        Outbox outbox = session.Client.Outbox;
        _askedAt = 0;
        if (status == 'E')
        {
            request.Answer(outbox, status, "", null, [], session.Told(SessionErrors.TransactionAborted.Fields()));
        }
        else if (statement.Command == PoolerCommand.Explain)
        {
            request.Answer(outbox, status, "EXPLAIN", "QUERY PLAN", Explain(statement.Value).Lines(), null);
        }
        else if (name is PositionName or LeastName)
        {
            AnswerPosition(request, status, name);
        }
        else if (name != RouteName)
        {
            request.Answer(outbox, status, "", null, [], session.Told(SessionErrors.UnknownParameter.Fields(name)));
        }
        else if (statement.Command == PoolerCommand.Show)
        {
            request.Answer(outbox, status, "SHOW", name, [Words[(int)Route]], null);
        }
        else
        {
            string value = Encoding.UTF8.GetString(statement.Value);
            RouteHint? hint = statement.Command == PoolerCommand.Reset ? session.StartupRoute : HintOf(value);
            Route = hint ?? Route;
            request.Answer(outbox, status, statement.Command == PoolerCommand.Reset && statement.Value.IsEmpty ? "RESET" : "SET", null, [],
                hint != null ? null : session.Told(SessionErrors.BadRoute.Fields(name, value)));
        }

        outbox.Flush();
    }

    /// <summary>A bound goes from one process to another: what SHOW pooler.lsn tells here is what SET pooler.min_lsn takes there.</summary>
    private void AnswerPosition(in PoolerRequest request, byte status, string name)
    {
        PoolerStatement statement = request.Statement;
        bool isShow = statement.Command == PoolerCommand.Show;
        string value = Encoding.UTF8.GetString(statement.Value);
        long? position = null;
        ErrorFields? error = null;
        if (session.Route.Bound is not { } bound)
        {
            error = SessionErrors.NoBound.Fields(name);
        }
        else if (name == PositionName)
        {
            position = bound.Position();
            error = !isShow ? SessionErrors.ReadOnlyParameter.Fields(name)
                : position == null ? SessionErrors.NoPosition.Because($"{string.Join("; ", bound.Hosts.Cluster.State.Hosts.Select(static h => h.Describe()))}.", bound.Hosts.Cluster.Config.FailoverHoldPlace) : null;
        }
        else if (isShow)
        {
            position = bound.Least;
        }
        else if (statement.Command == PoolerCommand.Reset)
        {
            bound.Least = 0;
        }
        else
        {
            position = WalPosition.Parse(value);
            bound.Least = position ?? bound.Least;
            error = position != null ? null : SessionErrors.BadPosition.Fields(name, value);
        }

        request.Answer(session.Client.Outbox, status, isShow ? "SHOW" : statement.Command == PoolerCommand.Reset && statement.Value.IsEmpty ? "RESET" : "SET",
            isShow ? name : null, isShow && position is { } known ? [WalPosition.Text(known)] : [], error == null ? null : session.Told(error));
    }

    private RouteReport Explain(ReadOnlySpan<byte> text)
    {
        if (session.Pool.ByHost is not { } hosts)
        {
            return new RouteReport("unknown", null, null, null, null, null, "none", "the database entry has no routing");
        }

        ClusterState state = hosts.Cluster.State;
        RouteRequest request = session.Route.ClassifyText(text, hosts.Cluster);
        if (session.Server is not { } server)
        {
            ReadBound? bound = hosts.Cluster.Config.Routing == RoutingRule.ReadWriteSplit ? session.Route.Bound : null;
            ulong avoided = bound != null && request.ReadsData ? ~bound.Admitted(state, Router.Readable(state, hosts.Cluster.Config)) : 0;
            Route route = Router.Choose(hosts, state, request with { Avoided = request.Avoided | avoided });
            return RouteReport.Of(state, request, route.Host, RouteReasons.Text(route.Reason), bound?.Text(state) ?? "none");
        }

        int index = state.Hosts.ToList().FindIndex(h => h.Address == server.Host);
        PinReason pins = session.Exchange!.PinReasons;
        string reason = pins != PinReason.None ? $"the client keeps its server for {PinReasons.Text(pins)}"
            : server.Status != 'I' ? "its transaction runs there" : "in session mode it keeps its server";
        return RouteReport.Of(state, request, index < 0 ? null : index, reason);
    }

    private sealed class PositionTimer(ClientSession session) : WheelTimer
    {
        internal override void Expired()
        {
            if (!session.IsEnding)
            {
                session.Wake();
            }
        }
    }
}
