using System.Collections.Immutable;
using Microsoft.IdentityModel.Tokens;

namespace Pooler.Config;

/// <summary>Whose tokens let a client in, and what must be in them.</summary>
/// <param name="Issuer">The "iss" of its tokens, which is also where its discovery document is found.</param>
/// <param name="Scope">Scopes that a token must have, between blanks.</param>
/// <param name="Audiences">One of them must be in "aud"; none: no token is for us.</param>
/// <param name="UserClaim">The claim that says who the client is.</param>
internal sealed record OAuthConfig(string Issuer, string Scope, ImmutableArray<string> Audiences, string UserClaim)
{
    /// <summary>Where the keys are; null: the discovery document says it.</summary>
    public string? JwksUrl { get; init; }

    /// <summary>The keys themselves, from oauth_jwks_file.</summary>
    public string? Jwks { get; init; }

    /// <summary>OpenID Connect Discovery, 4.1.</summary>
    public string ConfigurationUrl => Issuer.TrimEnd('/') + "/.well-known/openid-configuration";

    /// <summary>Who can write to what is fetched can log in as anybody: it is asked for by TLS, or on this machine.</summary>
    public static bool IsSafeUrl(string text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0
        && (uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback));

    /// <summary>PostgreSQL also takes the address of the discovery document; here it is the issuer itself.</summary>
    public static bool IsIssuer(string text) => IsSafeUrl(text) && !text.Contains('?', StringComparison.Ordinal) && !text.Contains("/.well-known/", StringComparison.Ordinal);

    /// <summary>The keys of a JSON Web Key Set (RFC 7517) that signatures can be checked with; secrets shared with the issuer are none.</summary>
    public static bool TryReadKeys(string text, out ImmutableArray<SecurityKey> keys)
    {
        try
        {
            keys = [.. JsonWebKeySet.Create(text).GetSigningKeys().Where(static key => key is AsymmetricSecurityKey)];
        }
        catch (Exception) // The library's are of many kinds.
        {
            keys = [];
        }

        return !keys.IsEmpty;
    }
}
