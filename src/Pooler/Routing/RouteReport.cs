using Pooler.Cluster;
using Pooler.Config;
using Pooler.Sql;

namespace Pooler.Routing;

/// <summary>Where a statement goes and why, for people: SHOW ROUTE and EXPLAIN (POOLER).</summary>
/// <param name="Class">What it is.</param>
/// <param name="Cause">Why it is no read; null for one.</param>
/// <param name="Host">Where it goes; null: no host can take it now, it waits.</param>
/// <param name="Lag">What that host lacks of the primary's WAL, in bytes.</param>
/// <param name="LagTime">How long ago the primary was where it is, microseconds.</param>
/// <param name="Bound">The WAL position its session may not miss.</param>
internal sealed record RouteReport(string Class, string? Cause, HostAddress? Host, string? Role, long? Lag, long? LagTime, string Bound, string Reason)
{
    public static RouteReport Of(ClusterState state, in RouteRequest request, int? host, string reason, string bound = "none")
    {
        HostState? seen = host is { } index ? state.Hosts[index] : null;
        return new RouteReport(
            request.Class.ToString().ToLowerInvariant(), CauseOf(request), seen?.Address, seen == null ? null : ClusterJournal.Word(seen.Role), seen?.Lag, seen?.LagTime, bound, reason);
    }

    /// <summary>The rows of EXPLAIN (POOLER).</summary>
    public IEnumerable<string> Lines()
    {
        yield return Cause == null ? $"Class: {Class}" : $"Class: {Class} ({Cause})";
        yield return Host is { } host ? $"Host: {host} ({Role})" : "Host: none yet, it waits";
        if (Lag != null || LagTime != null)
        {
            yield return $"Lag: {(Lag is { } bytes ? $"{bytes} bytes" : "unknown")}, {(LagTime is { } time ? $"{time} us" : "unknown")}";
        }

        yield return $"Bound: {Bound}";
        yield return $"Reason: {Reason}";
    }

    private static string? CauseOf(in RouteRequest request) => request.Class == StatementClass.Read ? null : request.Cause switch
    {
        StatementCause.Command => "its first word",
        StatementCause.Words => "it locks, or writes within the query",
        StatementCause.Function => "a volatile function",
        StatementCause.UnknownFunction => "a function the catalogue does not have",
        StatementCause.Operator => "a volatile operator",
        StatementCause.Name => "a name that stands for something volatile or unlogged",
        StatementCause.Setting => "a setting that hosts have each of their own",
        StatementCause.Unreadable => "not read to its end",
        StatementCause.Catalogue => "the catalogue is not known yet",
        _ => null,
    };
}
