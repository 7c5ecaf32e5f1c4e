namespace Pooler.Cluster;

/// <summary>What a host is to its cluster.</summary>
internal enum HostRole
{
    /// <summary>It has not answered yet.</summary>
    Unknown,

    /// <summary>The one that is written to.</summary>
    Primary,

    /// <summary>A standby of the cluster's data.</summary>
    Replica,

    /// <summary>Another data set that subscribes to the cluster's primary (logical replication): reads that need not be the newest.</summary>
    Subscriber,

    /// <summary>It takes writes and is not the cluster's primary: one that was replaced, or a second one. Nothing goes there.</summary>
    Rival,

    /// <summary>Another data set (system identifier). Nothing goes there.</summary>
    Foreign,
}
