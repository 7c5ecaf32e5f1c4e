namespace Pooler.Config;

/// <summary>One "key = value", from a file or from the environment, before anybody has looked at its meaning.</summary>
/// <param name="File">The file as it was named, or "environment variable X".</param>
/// <param name="Line">Counted from 1; 0 if there is no line.</param>
/// <param name="Section">One of <see cref="ConfigSection"/>'s names.</param>
/// <param name="Key">Without its quotes.</param>
/// <param name="Value">Blanks around it removed, but not those of a secret.</param>
internal sealed record ConfigEntry(string File, int Line, string Section, string Key, string Value)
{
    /// <summary>The value can be a password, so it is left out.</summary>
    public override string ToString() => $"{File}:{Line}: [{Section}] {Key}";
}
