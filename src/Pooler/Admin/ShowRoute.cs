using System.Collections.Immutable;
using System.Numerics;
using System.Text;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;

using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>
/// SHOW ROUTE [database] 'statement' (ours): where a statement would go, of a client that has set nothing and seen nothing. The
/// database may be left out where one entry alone has routing.
/// </summary>
internal static class ShowRoute
{
    public const string Word = "route";

    public static readonly ImmutableArray<ColumnDescription> Columns =
    [
        Text("database"), Text("class"), Text("cause"), Text("host"), Int4("port"), Text("role"), Int8("lag_bytes"), Int8("lag_us"), Text("bound"), Text("reason"),
    ];

    public static async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        HostCluster[] routed = [.. session.Console.Clusters.All.Where(c => statement.Database == null || c.Config.Name == statement.Database)];
        if (routed.Length != 1)
        {
            session.Error(statement.Database == null ? ConsoleErrors.WhichDatabase.Fields(routed.Length) : ConsoleErrors.NoRoutedEntry.Fields(statement.Database));
            return;
        }

        Table table = await Offload.Run(
            session.Client,
            static s =>
            {
                var table = new Table(Columns);
                RouteReport report = ReportOf(s.Cluster, s.Pools, s.Text);
                table.Add(
                    s.Cluster.Config.Name, report.Class, report.Cause, report.Host is { Name.Length: > 0 } host ? host.Name : null, report.Host is { } at ? $"{at.Port}" : null,
                    report.Role, report.Lag is { } lag ? $"{lag}" : null, report.LagTime is { } time ? $"{time}" : null, report.Bound, report.Reason);
                return table;
            },
            (Cluster: routed[0], session.Console.Pools, Text: Encoding.UTF8.GetBytes(statement.Text!)));
        session.Send(table);
        session.Complete("SHOW");
    }

    private static RouteReport ReportOf(HostCluster cluster, Pools pools, byte[] text)
    {
        ClusterState state = cluster.State;
        var context = new ClassifierContext(cluster.Catalogue.Names);
        RouteRequest request = default(RouteRequest).And(StatementClassifier.Classify(text, context), followsClient: false);
        request = request with { IsRefused = cluster.Catalogue.Writes.Contains(request.Fingerprint) };
        HostPools? hosts = null;
        pools.Read(all => hosts = all.Select(static p => p.ByHost).FirstOrDefault(h => h?.Cluster == cluster));
        if (hosts != null)
        {
            Route route = Router.Choose(hosts, state, request);
            return RouteReport.Of(state, request, route.Host, RouteReasons.Text(route.Reason));
        }

        // No client was here yet, so that all hosts are as busy.
        RouteReason reason = Router.ReasonOf(cluster.Config.Routing, request);
        ulong readable = RouteReasons.IsForReplicas(reason) ? Router.Readable(state, cluster.Config) : 0;
        int? host = readable != 0 ? BitOperations.TrailingZeroCount(readable) : state.WritablePrimary != null ? state.Primary : null;
        return RouteReport.Of(state, request, host, RouteReasons.Text(readable == 0 && RouteReasons.IsForReplicas(reason) ? RouteReason.NoReplica : reason));
    }
}
