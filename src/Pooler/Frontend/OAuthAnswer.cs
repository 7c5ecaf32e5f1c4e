namespace Pooler.Frontend;

/// <summary>Who the bearer of a token is; or that nobody is let in with it, and why.</summary>
internal sealed record OAuthAnswer(string? Identity, string? Problem);
