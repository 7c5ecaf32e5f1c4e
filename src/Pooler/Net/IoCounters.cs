namespace Pooler.Net;

/// <summary>Plain counters of one I/O thread: written there, read by anyone as an approximation.</summary>
internal sealed class IoCounters
{
    /// <summary>TLS handshakes that were through or failed, with clients and with servers.</summary>
    public long ClientHandshakes, FailedClientHandshakes, ServerHandshakes, FailedServerHandshakes;

    /// <summary>Rounds of the thread, and the time outside the kernel's wait, microseconds.</summary>
    public long Turns, Busy;

    public long Accepted, Connections, Reads, Sends, BytesIn, BytesOut;
}
