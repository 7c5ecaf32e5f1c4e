namespace Pooler.Net;

/// <summary>Plain counters of one I/O thread: written there, read by anyone as an approximation.</summary>
internal sealed class IoCounters
{
    public long Accepted, Connections, Reads, Sends, BytesIn, BytesOut;
}
