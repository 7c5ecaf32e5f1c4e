namespace Pooler.Config;

/// <summary>What happens while a second host takes writes beside the primary (<c>on_two_primaries</c>).</summary>
internal enum TwoPrimariesRule
{
    /// <summary>The present primary is written to as long as it answers and takes writes.</summary>
    Stay,

    /// <summary>Nobody writes until one of them is gone, unless the second is on an older timeline.</summary>
    Hold,

    /// <summary>The one on the newer timeline is written to.</summary>
    Newest,
}
