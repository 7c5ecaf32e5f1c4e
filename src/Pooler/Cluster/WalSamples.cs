using System.Collections.Immutable;

namespace Pooler.Cluster;

/// <summary>The primary's WAL position at one moment: what had been written when it was asked for is in front of it.</summary>
/// <param name="AskedAt">When the question was sent, microseconds of the process's clock.</param>
/// <param name="Position">As it was answered.</param>
internal readonly record struct WalSample(long AskedAt, long Position);

/// <summary>The latest samples of the present primary, oldest first; they begin anew with each primary and each postmaster.</summary>
internal sealed record WalSamples(ImmutableArray<WalSample> Kept)
{
    private const int Most = 128;

    public static WalSamples Empty { get; } = new([]);

    public WalSamples With(WalSample sample) => new((Kept.Length < Most ? Kept : Kept.RemoveAt(0)).Add(sample));

    /// <summary>
    /// The position of the first that was asked for after this time, null while there is none. Where the first has fallen out a
    /// later one is right too, only higher.
    /// </summary>
    public long? PositionAfter(long time)
    {
        int low = 0, high = Kept.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = Kept[middle].AskedAt > time ? (low, middle) : (middle + 1, high);
        }

        return low < Kept.Length ? Kept[low].Position : null;
    }
}
