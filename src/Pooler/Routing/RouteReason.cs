namespace Pooler.Routing;

/// <summary>Why a request goes where it goes. Those up to <see cref="Transaction"/> ask for a replica.</summary>
internal enum RouteReason : byte
{
    /// <summary>It only reads.</summary>
    Read,

    /// <summary>A transaction that says READ ONLY begins.</summary>
    ReadOnlyTransaction,

    /// <summary>SET, RESET, DISCARD or DEALLOCATE of what follows the client to every server.</summary>
    FollowsClient,

    /// <summary>A comment or pooler.route asks for a replica.</summary>
    ReplicaHint,

    /// <summary>The entry's routing sends everything to replicas.</summary>
    ReplicaRouting,

    /// <summary>A transaction begins or ends.</summary>
    Transaction,

    /// <summary>It writes, or nobody knows that it does not.</summary>
    Write,

    /// <summary>It leaves in the session what no other server has.</summary>
    SessionState,

    /// <summary>SERIALIZABLE is not to be had on a standby.</summary>
    Serializable,

    /// <summary>A comment or pooler.route asks for the primary.</summary>
    PrimaryHint,

    /// <summary>A replica has refused this statement.</summary>
    Refused,

    /// <summary>It may go to a replica, and none is there that is fresh enough.</summary>
    NoReplica,

    /// <summary>In session mode a client keeps its server.</summary>
    SessionMode,

    /// <summary>The entry's routing sends everything to the primary.</summary>
    PrimaryRouting,
}
