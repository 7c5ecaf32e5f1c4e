using System.Numerics;

namespace Pooler.LoadGenerator;

/// <summary>
/// A log-linear histogram of durations in nanoseconds: 128 buckets for each power of two, so a percentile is off by less
/// than 1 %. Recording is two shifts and an increment, and allocates nothing.
/// </summary>
internal sealed class Histogram
{
    private const int Bits = 7;
    private const int PerPower = 1 << Bits;

    private readonly long[] _counts = new long[(64 - Bits) * PerPower];

    public long Count { get; private set; }

    public long Max { get; private set; }

    public void Record(long nanoseconds)
    {
        long value = Math.Max(nanoseconds, 0);
        int shift = Math.Max(BitOperations.Log2((ulong)value | 1) - Bits, 0);
        _counts[(shift << Bits) + (int)(value >> shift)]++;
        Count++;
        Max = Math.Max(Max, value);
    }

    public void Clear()
    {
        Array.Clear(_counts);
        Count = Max = 0;
    }

    /// <summary>The value that a fraction of the records does not exceed, in nanoseconds; 0 without records.</summary>
    public long Percentile(double fraction)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(Count * fraction));
        long seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank)
            {
                int shift = Math.Max((i >> Bits) - 1, 0);
                long low = (long)(i - (shift << Bits)) << shift;
                return Math.Min(low + (1L << shift >> 1), Max);
            }
        }

        return 0;
    }
}
