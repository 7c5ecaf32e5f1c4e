namespace Pooler.Config;

/// <summary>The values written for one database or one user; what is not in it is inherited.</summary>
internal sealed class SettingValues
{
    private readonly Dictionary<Setting, object?> values = [];

    public void Set(Setting setting, object? value) => values[setting] = value;

    /// <summary>The value, or null if it is not written here.</summary>
    public T? Find<T>(Setting<T> setting)
        where T : struct => values.TryGetValue(setting, out object? value) ? (T)value! : null;

    /// <summary>The text, or null if it is not written here.</summary>
    public string? FindText(Setting setting) => (string?)values.GetValueOrDefault(setting);
}
