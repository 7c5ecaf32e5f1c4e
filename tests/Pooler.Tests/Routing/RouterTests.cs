using System.Text;
using Pooler.Config;
using Pooler.Routing;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Routing;

/// <summary>What a request asks for: a pure function of its texts and its session.</summary>
public sealed class RouterTests
{
    private static readonly ClassifierContext Context = new(new VolatileNames([(CatalogueKind.Function, "now"), (CatalogueKind.VolatileFunction, "nextval")], [], []));

    [Theory]
    [InlineData(RouteReason.Read, "SELECT now()")]
    [InlineData(RouteReason.Write, "SELECT nextval('s')")]
    [InlineData(RouteReason.Write, "SELECT 1", "DELETE FROM t", "SELECT 2")]
    [InlineData(RouteReason.Transaction, "BEGIN")]
    [InlineData(RouteReason.Transaction, "COMMIT")]
    [InlineData(RouteReason.ReadOnlyTransaction, "BEGIN READ ONLY")]
    [InlineData(RouteReason.ReadOnlyTransaction, "BEGIN READ ONLY", "SELECT 1", "COMMIT")]
    [InlineData(RouteReason.Transaction, "BEGIN READ ONLY", "COMMIT", "BEGIN")]
    [InlineData(RouteReason.Write, "BEGIN READ ONLY", "COMMIT", "DELETE FROM t")]
    [InlineData(RouteReason.Serializable, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")]
    [InlineData(RouteReason.SessionState, "LISTEN news")]
    [InlineData(RouteReason.PrimaryHint, "/* pooler: primary */ SELECT 1")]
    [InlineData(RouteReason.ReplicaHint, "/* pooler: replica */ SELECT nextval('s')")]
    [InlineData(RouteReason.PrimaryHint, "/* pooler: replica */ SELECT 1", "/* pooler: primary */ SELECT 1")]
    [InlineData(RouteReason.Transaction, "/* pooler: replica */ BEGIN READ WRITE")]
    public void ABatchGoesWhereItsStrongestStatementGoes(object reason, params string[] texts) =>
        Assert.Equal((RouteReason)reason, Router.ReasonOf(RoutingRule.ReadWriteSplit, Of(texts)));

    [Fact]
    public void TheSessionHasItsSay()
    {
        RouteRequest read = Of("SELECT 1");
        Assert.Equal(RouteReason.Serializable, Router.ReasonOf(RoutingRule.ReadWriteSplit, read with { IsSerializable = true }));
        Assert.Equal(RouteReason.SessionMode, Router.ReasonOf(RoutingRule.ReadWriteSplit, read with { IsForSession = true }));
        Assert.Equal(RouteReason.ReplicaHint, Router.ReasonOf(RoutingRule.ReadWriteSplit, read with { IsForSession = true, Hint = RouteHint.Replica }));
        Assert.Equal(RouteReason.Refused, Router.ReasonOf(RoutingRule.ReadWriteSplit, read with { IsRefused = true, Hint = RouteHint.Replica }));
        Assert.Equal(RouteReason.Write, Router.ReasonOf(RoutingRule.ReadWriteSplit, RouteRequest.Unknown));
    }

    [Fact]
    public void OtherRulesLookAtNoStatement()
    {
        RouteRequest write = Of("DELETE FROM t");
        Assert.Equal(RouteReason.ReplicaRouting, Router.ReasonOf(RoutingRule.Replica, write));
        Assert.Equal(RouteReason.ReplicaRouting, Router.ReasonOf(RoutingRule.PreferReplica, write));
        Assert.Equal(RouteReason.PrimaryRouting, Router.ReasonOf(RoutingRule.Primary, Of("/* pooler: replica */ SELECT 1")));
    }

    private static RouteRequest Of(params string[] texts) =>
        texts.Aggregate(default(RouteRequest), static (request, text) => request.And(StatementClassifier.Classify(Encoding.UTF8.GetBytes(text), Context), followsClient: false));
}
