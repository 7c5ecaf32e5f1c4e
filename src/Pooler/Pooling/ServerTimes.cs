using Pooler.Telemetry;

namespace Pooler.Pooling;

/// <summary>How long things took with the servers that one pool has on one host, as one I/O thread has seen it: written there only.</summary>
internal sealed class ServerTimes
{
    /// <summary>From the begin of a connect to the end of the login.</summary>
    public Histogram Connect { get; } = new();

    /// <summary>Until a server had taken the client's settings, where that was waited for.</summary>
    public Histogram StateSync { get; } = new();

    /// <summary>From a request that was sent to its ReadyForQuery.</summary>
    public Histogram Operation { get; } = new();

    /// <summary>From lend to release.</summary>
    public Histogram Use { get; } = new();

    /// <summary>From the first byte of a reply to its last that the client's socket has taken.</summary>
    public Histogram Transfer { get; } = new();
}
