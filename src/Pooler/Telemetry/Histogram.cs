using System.Collections.Immutable;
using System.Numerics;

namespace Pooler.Telemetry;

/// <summary>
/// Times counted by how long they were. Written by one thread only, without a lock and without allocating; whoever reads meanwhile sees
/// each count as it is at that moment.
/// </summary>
internal sealed class Histogram
{
    /// <summary>Upper ends of the buckets but the last, microseconds: 25 µs, below which no server answers, to a minute.</summary>
    public static readonly ImmutableArray<long> Bounds =
    [
        25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 30_000_000, 60_000_000,
    ];

    // By the number of binary digits of a time: the first bucket that such a time may belong to.
    private static readonly byte[] s_first = FirstByLength();

    private readonly long[] _counts = new long[Bounds.Length + 1];

    /// <summary>All times together, microseconds.</summary>
    public long Sum { get; private set; }

    public long Count => _counts.Sum();

    /// <summary>How many there are in one bucket; the last is that of all times beyond the bounds.</summary>
    public long CountAt(int bucket) => _counts[bucket];

    public void Record(long microseconds)
    {
        long time = Math.Max(0, microseconds);
        int bucket = s_first[64 - BitOperations.LeadingZeroCount((ulong)time)];
        ReadOnlySpan<long> bounds = Bounds.AsSpan();
        while (bucket < bounds.Length && time > bounds[bucket])
        {
            bucket++; // Twice at most: a bucket is half as wide as a binary digit, or wider.
        }

        _counts[bucket]++;
        Sum += time;
    }

    public static Histogram SumOf(IEnumerable<Histogram> parts)
    {
        var sum = new Histogram();
        foreach (Histogram part in parts)
        {
            for (int i = 0; i < sum._counts.Length; i++)
            {
                sum._counts[i] += part._counts[i];
            }

            sum.Sum += part.Sum;
        }

        return sum;
    }

    private static byte[] FirstByLength()
    {
        byte[] first = new byte[65];
        for (int length = 0; length < first.Length; length++)
        {
            long least = length == 0 ? 0 : (long)(1ul << (length - 1) & long.MaxValue);
            first[length] = (byte)Bounds.Count(bound => bound < least);
        }

        return first;
    }
}
