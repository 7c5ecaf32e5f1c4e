using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>A row whose values are of type <typeparamref name="T"/>.</summary>
internal sealed class Setting<T>(int index, string name, SettingScope scope, ValueKind<T> kind, string? defaultText)
    : Setting(index, name, scope)
{
    private readonly T defaultValue = ParseDefault(name, kind, defaultText);

    /// <summary>The default as a value.</summary>
    public T Default => defaultValue;

    /// <summary>Values that are known but refused. Empty with <see cref="Support.RefusedUnlessDefault"/>: all but the default.</summary>
    public ImmutableArray<T> NotYet { get; init; } = [];

    public override string TypeText => kind.Name;

    public override bool IsNumber => typeof(T) == typeof(int) || typeof(T) == typeof(TimeSpan);

    public override object? DefaultValue => defaultValue;

    public override bool TryParse(string text, out object? value, out string? problem)
    {
        value = null;
        string shown = IsSecret ? Name : $"{Name} = \"{text}\"";
        if (!kind.TryParse(text, out T parsed))
        {
            problem = $"{shown} is not valid: {kind.Explain?.Invoke(text) ?? kind.Expected}";
            return false;
        }

        if (IsRefused(parsed))
        {
            problem = $"{shown} is not supported yet: {AcceptedText()}";
            return false;
        }

        value = parsed;
        problem = null;
        return true;
    }

    public override string? Format(object? value) => kind.Format((T)value!);

    private static T ParseDefault(string name, ValueKind<T> kind, string? text)
    {
        if (text is null) return default!; // Only kinds whose default(T) means "not set" have rows without a default text.
        return kind.TryParse(text, out T value) ? value : throw new InvalidOperationException($"default of {name}: {kind.Expected}");
    }

    private bool IsRefused(T value)
    {
        if (!NotYet.IsEmpty) return NotYet.Contains(value);
        return Support == Support.RefusedUnlessDefault && (kind.Format(value) ?? "") != (DefaultText ?? "");
    }

    private string AcceptedText()
    {
        if (!kind.Words.IsEmpty)
        {
            return "one of " + string.Join(", ", kind.Words.Where(word => !IsRefused(word.Value)).Select(static word => word.Key));
        }

        return string.IsNullOrEmpty(DefaultText) ? "leave it out" : $"leave it out, or at its default \"{DefaultText}\"";
    }
}
