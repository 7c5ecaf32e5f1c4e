using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>How values of one kind are written in the file and shown on the console.</summary>
internal sealed class ValueKind<T>(string name, string expected, ValueParser<T> parser, Func<T, string?> format)
{
    /// <summary>For the settings page: integer, seconds, ….</summary>
    public string Name { get; } = name;

    /// <summary>What a right value looks like; ends the message about a wrong one.</summary>
    public string Expected { get; } = expected;

    /// <summary>The words and what they stand for, if the kind is a choice; otherwise empty.</summary>
    public ImmutableArray<KeyValuePair<string, T>> Words { get; init; } = [];

    /// <summary>Says of a wrong text what is wrong with it, for kinds that can say more than <see cref="Expected"/>.</summary>
    public Func<string, string>? Explain { get; init; }

    public bool TryParse(string text, out T value) => parser(text, out value);

    public string? Format(T value) => format(value);
}
