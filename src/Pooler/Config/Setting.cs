namespace Pooler.Config;

/// <summary>One row of the table of settings (<see cref="Settings"/>): its name, its place, its default and what it means.</summary>
internal abstract class Setting(int index, string name, SettingScope scope)
{
    /// <summary>Its place in <see cref="Settings.All"/>, so that a snapshot keeps values in an array.</summary>
    public int Index { get; } = index;

    /// <summary>Lower case with underscores, as in the file and on the console.</summary>
    public string Name { get; } = name;

    /// <summary>A second name it answers to, or null (PgBouncer keeps some old ones).</summary>
    public string? Alias { get; init; }

    public SettingScope Scope { get; } = scope;

    /// <summary>For the settings page: integer, seconds, ….</summary>
    public abstract string TypeText { get; }

    /// <summary>Whether -1 can mean "not set" in [databases] and [users].</summary>
    public abstract bool IsNumber { get; }

    /// <summary>The default as SHOW CONFIG prints it; null if PgBouncer shows NULL.</summary>
    public string? DefaultText { get; init; }

    public WhenChanged WhenChanged { get; init; }

    public Support Support { get; init; }

    /// <summary>Never printed: not on the console, not in a log, not in a message.</summary>
    public bool IsSecret { get; init; }

    /// <summary>It says something of TLS: it takes effect with all of them and their files together.</summary>
    public bool IsOfTls => Name.Contains("_tls", StringComparison.Ordinal);

    /// <summary>One sentence: what it does.</summary>
    public required string Meaning { get; init; }

    /// <summary>The default as a value.</summary>
    public abstract object? DefaultValue { get; }

    /// <summary>
    /// Reads a value. What the setting's security does not allow yet fails here too, so the file, the environment and SET
    /// all refuse it alike. The problem is a whole sentence that names the setting and what would be right.
    /// </summary>
    public abstract bool TryParse(string text, out object? value, out string? problem);

    /// <summary>The value as SHOW CONFIG prints it; secrets are the caller's business.</summary>
    public abstract string? Format(object? value);
}
