using System.Threading.Channels;

namespace Pooler.Statements;

/// <summary>Traced statements on their way from the I/O threads to whoever exports them. Beyond the bound they are dropped and counted.</summary>
internal sealed class TraceQueue
{
    private const int Capacity = 4096;

    private readonly Channel<TraceRecord> _records = Channel.CreateBounded<TraceRecord>(new BoundedChannelOptions(Capacity) { SingleReader = true });
    private long _dropped;

    /// <summary>Records that found no room since the start.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    public ChannelReader<TraceRecord> Reader => _records.Reader;

    public void Add(TraceRecord record)
    {
        if (!_records.Writer.TryWrite(record))
        {
            Interlocked.Increment(ref _dropped);
        }
    }

    /// <summary>Nothing follows.</summary>
    public void Complete() => _records.Writer.TryComplete();
}
