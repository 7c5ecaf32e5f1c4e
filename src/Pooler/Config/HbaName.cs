namespace Pooler.Config;

/// <summary>A database or a user in an HBA line; one that was quoted is no keyword.</summary>
internal readonly record struct HbaName(string Text, bool IsQuoted)
{
    public bool Is(string keyword) => !IsQuoted && Text == keyword;
}
