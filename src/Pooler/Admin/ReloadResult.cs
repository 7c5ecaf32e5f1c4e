namespace Pooler.Admin;

/// <summary>Whether a RELOAD found a configuration without errors, and when.</summary>
internal sealed record ReloadResult(bool IsGood, DateTime At);
