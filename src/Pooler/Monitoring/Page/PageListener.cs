using System.Threading.Channels;

namespace Pooler.Monitoring;

/// <summary>One who looks at the live page: events that are not sent to it yet.</summary>
/// <param name="abort">Ends its connection; returns at once.</param>
internal sealed class PageListener(Action abort)
{
    // A second each; who is further behind is let go and may come again.
    private const int MostUnsent = 5;

    private readonly Channel<byte[]> _events = Channel.CreateBounded<byte[]>(MostUnsent);

    /// <summary>One more event; who is too far behind is let go instead.</summary>
    public void Send(byte[] data)
    {
        if (!_events.Writer.TryWrite(data))
        {
            Drop();
        }
    }

    public void Drop() => abort();

    public IAsyncEnumerable<byte[]> EventsAsync(CancellationToken ended) => _events.Reader.ReadAllAsync(ended);
}
