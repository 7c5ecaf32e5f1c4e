namespace Pooler.Config;

/// <summary>Which of several hosts that may serve a request does (<c>load_balance</c>).</summary>
internal enum LoadBalanceRule
{
    /// <summary>The one with the fewest clients at work or waiting, measured by its weight.</summary>
    LeastBusy,

    /// <summary>The next one each time.</summary>
    RoundRobin,

    /// <summary>Any, all equally often.</summary>
    Random,

    /// <summary>Any, as often as its weight says.</summary>
    Weighted,

    /// <summary>The least busy of those whose answers to probes are about as quick as the quickest one's.</summary>
    Latency,
}
