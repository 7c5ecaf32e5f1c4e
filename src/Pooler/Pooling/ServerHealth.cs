using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>What the end of a server says of its host.</summary>
internal static class ServerHealth
{
    /// <summary>
    /// A server could not be opened because of the host (refused, reset, timed out, starting, shutting down), not because of who asked.
    /// </summary>
    public static bool IsOfHost(ErrorFields failure) => failure.SqlState is "08001" or "08006" || IsShutdown(failure);

    /// <summary>The host's own words: it shuts down, has crashed, or does not take connections yet. 40001 (recovery conflicts) is none.</summary>
    public static bool IsShutdown(ErrorFields failure) => failure.SqlState is "57P01" or "57P02" or "57P03";
}
