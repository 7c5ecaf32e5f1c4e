namespace Pooler.Routing;

/// <summary>Reasons in words, for SHOW ROUTE and EXPLAIN (POOLER).</summary>
internal static class RouteReasons
{
    public static bool IsForReplicas(RouteReason reason) => reason < RouteReason.Transaction;

    public static string Text(RouteReason reason) => reason switch
    {
        RouteReason.Read => "it only reads",
        RouteReason.ReadOnlyTransaction => "a READ ONLY transaction begins",
        RouteReason.FollowsClient => "the setting follows the client",
        RouteReason.ReplicaHint => "a hint asks for a replica",
        RouteReason.ReplicaRouting or RouteReason.PrimaryRouting => "routing of the database entry",
        RouteReason.Transaction => "transactions that may write run on the primary",
        RouteReason.Write => "it may write",
        RouteReason.SessionState => "it leaves state in the session",
        RouteReason.Serializable => "a standby has no SERIALIZABLE",
        RouteReason.PrimaryHint => "a hint asks for the primary",
        RouteReason.Refused => "a replica has refused it",
        RouteReason.NoReplica => "no replica is fresh enough, or has what this session has seen",
        _ => "session mode",
    };
}
