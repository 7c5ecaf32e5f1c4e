using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Pooler.Config;

/// <summary>A configuration, or everything that is wrong with it.</summary>
internal sealed record ConfigResult(PoolerConfig? Config, ImmutableArray<ConfigError> Errors)
{
    /// <summary>False: keep what runs (RELOAD) or do not start.</summary>
    [MemberNotNullWhen(true, nameof(Config))]
    public bool IsValid => Config is not null;
}
