namespace Pooler.Config;

/// <summary>A row whose values are of type <typeparamref name="T"/>.</summary>
internal sealed class Setting<T>(int index, string name, SettingScope scope, ValueKind<T> kind, string? defaultText)
    : Setting(index, name, scope)
{
    private readonly T defaultValue = ParseDefault(name, kind, defaultText);

    /// <summary>The default as a value.</summary>
    public T Default => defaultValue;

    public override string TypeText => kind.Name;

    public override bool IsNumber => typeof(T) == typeof(int) || typeof(T) == typeof(TimeSpan);

    public override object? DefaultValue => defaultValue;

    public override bool TryParse(string text, out object? value, out string? problem)
    {
        value = null;
        bool mayHavePassword = text.Contains("://", StringComparison.Ordinal) && text.AsSpan().ContainsAny('@', '?');
        string shown = IsSecret || mayHavePassword ? Name : $"{Name} = \"{text}\"";
        if (!kind.TryParse(text, out T parsed))
        {
            problem = $"{shown} is not valid: {kind.Explain?.Invoke(text) ?? kind.Expected}";
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
}
