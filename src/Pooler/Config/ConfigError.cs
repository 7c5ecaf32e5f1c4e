namespace Pooler.Config;

/// <summary>One thing that is wrong, where it stands, and what would be right.</summary>
/// <param name="File">The file as it was named, or "environment variable X".</param>
/// <param name="Line">Counted from 1; 0 if there is no line.</param>
/// <param name="Message">A sentence; never holds a secret.</param>
internal sealed record ConfigError(string File, int Line, string Message)
{
    public override string ToString() => Line > 0 ? $"{File}:{Line}: {Message}" : $"{File}: {Message}";
}
