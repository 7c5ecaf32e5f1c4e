using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>What auth_query has said of a user.</summary>
/// <param name="Secret">Null: there is no such user; empty: it has no password, or one that is not valid any more.</param>
/// <param name="Error">Why nothing is known.</param>
internal readonly record struct AuthAnswer(string? Secret, ErrorFields? Error);
