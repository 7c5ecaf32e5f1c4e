using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Pooler.Telemetry;

/// <summary>
/// Counts events under up to three words, from any thread, seldom: closes, errors, logins; nothing of a query's way. Words may come from
/// clients, so there is a bound: beyond it all count as one.
/// </summary>
internal sealed class Tally
{
    private const int Most = 5000;

    private readonly ConcurrentDictionary<(string, string, string), StrongBox<long>> _counts = new();
    private int _size;

    public void Add(string first, string second = "", string third = "") => Interlocked.Increment(ref Find((first, second, third)).Value);

    /// <summary>Every count there is.</summary>
    public IEnumerable<((string First, string Second, string Third) Words, long Count)> Read() =>
        _counts.Select(static pair => (pair.Key, Interlocked.Read(ref pair.Value.Value)));

    private StrongBox<long> Find((string First, string, string) words)
    {
        if (_counts.TryGetValue(words, out StrongBox<long>? count))
        {
            return count;
        }

        if (Interlocked.Increment(ref _size) > Most)
        {
            words = ("other", "other", "other");
        }

        return _counts.GetOrAdd(words, static _ => new StrongBox<long>());
    }
}
