using System.Text;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
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

    /// <summary>pooler.route: where the session's statements go unless they say it themselves.</summary>
    public RouteHint Route { get; private set; } = session.StartupRoute;

    /// <summary>A value of pooler.route; null if there is none such.</summary>
    public static RouteHint? HintOf(string value) => Array.FindIndex(Words, w => w.Equals(value, StringComparison.OrdinalIgnoreCase)) is >= 0 and int index ? (RouteHint)index : null;

    /// <summary>DISCARD ALL.</summary>
    public void Reset() => Route = session.StartupRoute;

    /// <summary>Writes the answer to a whole request.</summary>
    /// <param name="status">Of the client's transaction.</param>
    public void Answer(in PoolerRequest request, byte status)
    {
        PoolerStatement statement = request.Statement;
        string name = "pooler." + Encoding.UTF8.GetString(statement.Name).ToLowerInvariant();
        Outbox outbox = session.Client.Outbox;
        if (status == 'E')
        {
            request.Answer(outbox, status, "", null, [], Error("25P02", "current transaction is aborted, commands ignored until end of transaction block"));
        }
        else if (statement.Command == PoolerCommand.Explain)
        {
            request.Answer(outbox, status, "EXPLAIN", "QUERY PLAN", Explain(statement.Value).Lines(), null);
        }
        else if (name != RouteName)
        {
            request.Answer(outbox, status, "", null, [], Error("42704", $"unrecognized configuration parameter \"{name}\""));
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
                hint != null ? null : Error("22023", $"invalid value for parameter \"{name}\": \"{value}\"", "Available values: primary, replica, auto."));
        }

        outbox.Flush();
    }

    private static ErrorFields Error(string sqlState, string message, string? hint = null) => new("ERROR", sqlState, message, null, hint);

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
            Route route = Router.Choose(hosts, state, request);
            return RouteReport.Of(state, request, route.Host, RouteReasons.Text(route.Reason));
        }

        int index = state.Hosts.ToList().FindIndex(h => h.Address == server.Host);
        PinReason pins = session.Exchange!.PinReasons;
        string reason = pins != PinReason.None ? $"the client keeps its server for {PinReasons.Text(pins)}"
            : server.Status != 'I' ? "its transaction runs there" : "in session mode it keeps its server";
        return RouteReport.Of(state, request, index < 0 ? null : index, reason);
    }
}
