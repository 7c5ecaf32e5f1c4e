namespace Pooler.Tests.Net;

/// <summary>What a hostile engine does to operations, decided by a seeded generator: late, in pieces, in vain, and now and then for the last time.</summary>
internal sealed class Hostility(int seed, bool isFatal)
{
    private readonly Random _random = new(seed);

    public bool Chance(int one, int of) => _random.Next(of) < one;

    /// <summary>An error that breaks the connection.</summary>
    public bool Kills() => isFatal && _random.Next(400) == 0;

    /// <summary>How much of so many bytes is dealt with: often one, often a few, often all.</summary>
    public int Cut(int length) => _random.Next(6) switch
    {
        _ when length <= 1 => length,
        0 => 1,
        1 => Math.Min(length, _random.Next(1, 8)),
        2 => _random.Next(1, length + 1),
        _ => length,
    };

    /// <summary>Rounds an operation is held back.</summary>
    public int Delay() => _random.Next(3) == 0 ? _random.Next(1, 6) : 0;

    public T Pick<T>(params ReadOnlySpan<T> choices) => choices[_random.Next(choices.Length)];

    public void Shuffle<T>(List<T> items) => _random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(items));
}
