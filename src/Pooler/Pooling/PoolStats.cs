using Pooler.Telemetry;

namespace Pooler.Pooling;

/// <summary>What SHOW STATS counts, of one pool on one I/O thread: written there only, summed by whoever reads. Times in microseconds.</summary>
internal sealed class PoolStats
{
    public long Assignments, Transactions, Queries, Received, Sent, TransactionTime, QueryTime, WaitTime, Parses, ServerParses, Binds, Logins, MovedGrants;

    /// <summary>Reads that routing sent to a replica, and to the primary.</summary>
    public long ReplicaReads, PrimaryReads;

    /// <summary>How long clients waited for a server; of those that found one free, 0.</summary>
    public readonly Histogram Waits = new();

    /// <summary>CancelRequests of clients now: not sent yet, being seen through; and the requests to servers that these have led to.</summary>
    public int CancelsWaiting, CancelsActive, ServerCancels;

    /// <summary>Clients that began to keep a server, and statements refused instead, by reason (pin).</summary>
    public readonly long[] Pins = new long[6], PinRefusals = new long[6];

    public void AddTo(PoolStats sum)
    {
        sum.Assignments += Assignments;
        sum.Transactions += Transactions;
        sum.Queries += Queries;
        sum.Received += Received;
        sum.Sent += Sent;
        sum.TransactionTime += TransactionTime;
        sum.QueryTime += QueryTime;
        sum.WaitTime += WaitTime;
        sum.Parses += Parses;
        sum.ServerParses += ServerParses;
        sum.Binds += Binds;
        sum.Logins += Logins;
        sum.MovedGrants += MovedGrants;
        for (int i = 0; i < Pins.Length; i++)
        {
            sum.Pins[i] += Pins[i];
            sum.PinRefusals[i] += PinRefusals[i];
        }
    }
}
