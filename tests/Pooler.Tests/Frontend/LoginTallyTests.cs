using Pooler.Frontend;
using Xunit;

namespace Pooler.Tests.Frontend;

/// <summary>Counts within their window, of many keys, in bounded memory, from many threads.</summary>
public sealed class LoginTallyTests
{
    private const long Start = 100_000, Window = 60;

    private readonly LoginTally _tally = new();

    [Fact]
    public void CountsWithinTheWindowOfTheFirst()
    {
        Assert.Equal(0, _tally.Count("a", Start, Window));
        Assert.Equal([1, 2, 3], Enumerable.Range(0, 3).Select(i => _tally.Add("a", Start + i, Window)));
        Assert.Equal(1, _tally.Add("b", Start, Window));
        Assert.Equal((3, 1, 0), (_tally.Count("a", Start + 59, Window), _tally.Count("b", Start + 59, Window), _tally.Count("c", Start, Window)));
        Assert.Equal(0, _tally.Count("a", Start + 60, Window));
        Assert.Equal(1, _tally.Add("a", Start + 60, Window));
        _tally.Mark("a", Start + 100);
        Assert.Equal((1, 0), (_tally.Count("a", Start + 159, Window), _tally.Count("a", Start + 160, Window)));
    }

    [Fact]
    public void CountsNoFurtherThanItCan()
    {
        for (int i = 0; i < LoginTally.MaxCount + 10; i++)
        {
            _tally.Add("a", Start, Window);
        }

        Assert.Equal(LoginTally.MaxCount, _tally.Count("a", Start, Window));
    }

    /// <summary>What is new drives out what is oldest: most of the last thousand keys are there behind a hundred thousand others.</summary>
    [Fact]
    public void ManyKeysDriveOutTheOldest()
    {
        for (int i = 0; i < 100_000; i++)
        {
            _tally.Add($"key {i}", Start + (i / 1000), 1000);
        }

        Assert.Equal(0, Enumerable.Range(0, 20_000).Count(i => _tally.Count($"key {i}", Start + 100, 1000) > 1));
        Assert.InRange(Enumerable.Range(99_000, 1000).Count(i => _tally.Count($"key {i}", Start + 100, 1000) == 1), 990, 1000);
    }

    [Fact]
    public void ThreadsLoseNoCount()
    {
        Parallel.For(0, 3000, i => _tally.Add($"key {i % 3}", Start, Window));
        Assert.Equal([1000, 1000, 1000], Enumerable.Range(0, 3).Select(i => _tally.Count($"key {i}", Start, Window)));
    }
}
