using System.Collections.Immutable;
using Microsoft.IdentityModel.Tokens;

namespace Pooler.Frontend;

/// <summary>The keys of an issuer as far as they are known; none: <paramref name="Problem"/> says why.</summary>
internal sealed record OAuthKeySet(ImmutableArray<SecurityKey> Keys, string? Problem)
{
    public static OAuthKeySet None { get; } = new([], null);

    public bool Has(string kid) => Keys.Any(key => key.KeyId == kid);
}
