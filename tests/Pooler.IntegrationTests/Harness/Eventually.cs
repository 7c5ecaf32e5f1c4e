using System.Diagnostics;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Waits for a state, not for a time: looks again until it is there, and fails with what was seen when the limit is over.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    public static async Task<T> BecomesAsync<T>(string what, Func<Task<T>> look, Func<T, bool> good, TimeSpan? limit = null)
    {
        TimeSpan patience = limit ?? Patience.Default;
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            T seen = await look();
            if (good(seen))
                return seen;
            if (Stopwatch.GetElapsedTime(start) > patience)
                Assert.Fail($"{what}: not within {patience.TotalSeconds:0} s; last seen: {seen}");
            await Task.Delay(Pause);
        }
    }

    public static Task<T> EqualsAsync<T>(string what, T expected, Func<Task<T>> look, TimeSpan? limit = null) =>
        BecomesAsync(what, look, seen => EqualityComparer<T>.Default.Equals(seen, expected), limit);
}
