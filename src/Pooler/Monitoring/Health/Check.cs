namespace Pooler.Monitoring;

/// <summary>One thing that must be so before clients are sent here, and what is wrong with it; null: nothing.</summary>
/// <param name="Group">The word by which ?exclude= leaves it out.</param>
internal sealed record Check(string Group, string Name, string? Problem);
