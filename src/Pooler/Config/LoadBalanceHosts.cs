namespace Pooler.Config;

/// <summary>Which host of a list a new server connection goes to (<c>load_balance_hosts</c>).</summary>
internal enum LoadBalanceHosts
{
    /// <summary>The next one in the list.</summary>
    RoundRobin,

    /// <summary>The same one until it fails.</summary>
    Disable,

    /// <summary>Any (libpq's word).</summary>
    Random,
}
