namespace Pooler.LoadGenerator;

/// <summary>What a group of clients does together: whether they go on, and how long their transactions took while measured.</summary>
internal sealed class Recorder
{
    public Histogram Latency { get; } = new();

    /// <summary>Clients begin another transaction when one has ended.</summary>
    public bool IsRunning { get; set; }

    public bool IsMeasuring { get; set; }

    /// <summary>After so many measured transactions the group stops.</summary>
    public long Limit { get; set; } = long.MaxValue;

    /// <summary>Transactions that were begun and have not ended.</summary>
    public int Outstanding { get; set; }

    public void Ended(long nanoseconds)
    {
        if (IsMeasuring)
        {
            Latency.Record(nanoseconds);
            if (Latency.Count >= Limit)
            {
                IsMeasuring = IsRunning = false;
            }
        }
    }
}
