using System.Collections.Immutable;

namespace Pooler.Cluster;

/// <summary>
/// Where the primary's WAL was at which time: the lag of a replica in time is read from it, by our own clock, and is 0 on an idle
/// primary. (now() - pg_last_xact_replay_timestamp() grows while nobody writes.)
/// </summary>
internal sealed record LagHistory(ImmutableArray<(long Position, long At)> Samples)
{
    private const int Most = 256;

    public static LagHistory Empty { get; } = new([]);

    public LagHistory With(long position, long at)
    {
        // Only progress matters: the time at which a position was first seen.
        if (Samples.Length > 0 && Samples[^1].Position == position)
        {
            return this;
        }

        return new LagHistory((Samples.Length < Most ? Samples : Thinned()).Add((position, at)));
    }

    /// <summary>How long ago the primary went beyond this position; 0 if it has not, null before anything is known.</summary>
    public long? TimeSince(long position, long now)
    {
        if (Samples.Length == 0)
        {
            return null;
        }

        if (position >= Samples[^1].Position)
        {
            return 0;
        }

        int first = 0;
        while (Samples[first].Position <= position)
        {
            first++;
        }

        return now - Samples[first].At;
    }

    /// <summary>The older half loses every second sample, so that quick probing does not shorten what is remembered.</summary>
    private ImmutableArray<(long Position, long At)> Thinned() => [.. Samples.Where(static (_, i) => i >= Most / 2 || i % 2 == 0)];
}
