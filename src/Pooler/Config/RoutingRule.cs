namespace Pooler.Config;

/// <summary>Which hosts of a database entry its clients are sent to (<c>routing</c>).</summary>
internal enum RoutingRule
{
    /// <summary>Plain pooling: PgBouncer's host list, nothing is probed.</summary>
    Off,

    /// <summary>Everything to the host that is primary at the moment.</summary>
    Primary,

    /// <summary>Reads to replicas that are fresh enough, everything else to the primary.</summary>
    ReadWriteSplit,

    /// <summary>Everything to replicas while there is one that is fresh enough, else to the primary.</summary>
    PreferReplica,

    /// <summary>Everything to replicas.</summary>
    Replica,

    /// <summary>Several hosts take writes: each client stays with one of them.</summary>
    MultiPrimary,
}
