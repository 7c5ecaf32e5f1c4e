namespace Pooler.Frontend;

/// <summary>
/// How often something happened lately, for keys that strangers choose: 16,384 entries of one word each and no more, the oldest out.
/// Any thread, without a lock. Which keys share a place is nobody's choice, for strings are hashed with a secret of the process.
/// </summary>
internal sealed class LoginTally
{
    /// <summary>Highest count; beyond it nothing is added.</summary>
    public const int MaxCount = (1 << CountBits) - 1;

    // A word: 24 bits that tell the key from others in its set, 12 bits of count, 28 bits of seconds since when it is counted.
    private const int Sets = 4096, Ways = 4, CountBits = 12, SecondBits = 28;

    private readonly long[] _words = new long[Sets * Ways];

    /// <summary>Nothing has ever been counted.</summary>
    public bool IsEmpty { get; private set; } = true;

    /// <summary>Counts one more within the window; a window begins with the first. Returns how many it has by now.</summary>
    public int Add(string key, long seconds, long window)
    {
        IsEmpty = false;
        (int set, long tag) = Place(key);
        while (true)
        {
            ref long word = ref _words[Find(set, tag, out long seen) ?? Oldest(set, out seen)];
            bool goesOn = TagOf(seen) == tag && seconds - SecondOf(seen) < window;
            int count = goesOn ? Math.Min(CountOf(seen) + 1, MaxCount) : 1;
            if (Interlocked.CompareExchange(ref word, Word(tag, count, goesOn ? SecondOf(seen) : seconds), seen) == seen)
            {
                return count;
            }
        }
    }

    public int Count(string key, long seconds, long window)
    {
        (int set, long tag) = Place(key);
        return Find(set, tag, out long seen) != null && seconds - SecondOf(seen) < window ? CountOf(seen) : 0;
    }

    /// <summary>It has happened now, whatever was before.</summary>
    public void Mark(string key, long seconds)
    {
        (int set, long tag) = Place(key);
        int at = Find(set, tag, out long seen) ?? Oldest(set, out seen);
        if (SecondOf(seen) != seconds || TagOf(seen) != tag)
        {
            Volatile.Write(ref _words[at], Word(tag, 1, seconds));
        }
    }

    private int? Find(int set, long tag, out long seen)
    {
        for (int at = set * Ways; at < (set + 1) * Ways; at++)
        {
            seen = Volatile.Read(ref _words[at]);
            if (TagOf(seen) == tag)
            {
                return at;
            }
        }

        seen = 0;
        return null;
    }

    private int Oldest(int set, out long seen)
    {
        int oldest = set * Ways;
        seen = Volatile.Read(ref _words[oldest]);
        for (int at = oldest + 1; at < (set + 1) * Ways; at++)
        {
            long other = Volatile.Read(ref _words[at]);
            if (SecondOf(other) < SecondOf(seen))
            {
                (oldest, seen) = (at, other);
            }
        }

        return oldest;
    }

    /// <summary>A tag is never 0: that is an empty word.</summary>
    private static (int Set, long Tag) Place(string key)
    {
        uint one = (uint)key.GetHashCode(StringComparison.Ordinal), other = (uint)(key + '\0').GetHashCode(StringComparison.Ordinal);
        return ((int)(one % Sets), (other >> 8) | 1);
    }

    private static long Word(long tag, int count, long seconds) => (tag << (CountBits + SecondBits)) | ((long)count << SecondBits) | (seconds & ((1L << SecondBits) - 1));

    private static long TagOf(long word) => (long)((ulong)word >> (CountBits + SecondBits));

    private static int CountOf(long word) => (int)(word >> SecondBits) & MaxCount;

    private static long SecondOf(long word) => word & ((1L << SecondBits) - 1);
}
