using System.Numerics;

namespace Pooler.Statements;

/// <summary>
/// How often something took how long, in microseconds: eight steps for each doubling, so a value read from it is off by at most
/// 6 %; below 8 µs exact, above half an hour all one.
/// </summary>
internal sealed class TimeHistogram
{
    private const int StepBits = 3, Steps = 1 << StepBits, HighestBit = 30;
    private const int Length = ((HighestBit - StepBits + 2) * Steps);

    /// <summary>Bytes it takes.</summary>
    public const int Size = (Length * sizeof(uint)) + 40;

    private readonly uint[] _counts = new uint[Length];

    public void Add(long microseconds) => _counts[IndexOf(microseconds)]++;

    public void AddTo(TimeHistogram sum)
    {
        for (int i = 0; i < Length; i++)
        {
            sum._counts[i] += _counts[i];
        }
    }

    /// <summary>The time that this share of all took no longer than; 0 without any.</summary>
    public long At(double share)
    {
        long all = 0;
        foreach (uint count in _counts)
        {
            all += count;
        }

        long rank = Math.Max(1, (long)Math.Ceiling(share * all));
        for (int i = 0; i < Length && all > 0; i++)
        {
            rank -= _counts[i];
            if (rank <= 0)
            {
                return MiddleOf(i);
            }
        }

        return 0;
    }

    private static int IndexOf(long microseconds)
    {
        if (microseconds < Steps)
        {
            return (int)Math.Max(0, microseconds);
        }

        int bit = BitOperations.Log2((ulong)microseconds);
        return bit > HighestBit ? Length - 1 : ((bit - StepBits + 1) << StepBits) + (int)((microseconds >> (bit - StepBits)) & (Steps - 1));
    }

    private static long MiddleOf(int index)
    {
        int shift = (index >> StepBits) - 1;
        return shift < 0 ? index : ((long)(Steps + (index & (Steps - 1))) << shift) + ((1L << shift) >> 1);
    }
}
