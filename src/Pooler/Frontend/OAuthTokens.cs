using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Frontend;

/// <summary>
/// Checks the tokens of OAuth logins: JSON Web Tokens (RFC 7519, RFC 9068) by the keys of their issuer. Runs on ordinary threads, never
/// on an I/O thread.
/// </summary>
internal sealed class OAuthTokens(ILogger log)
{
    private static readonly JsonWebTokenHandler s_handler = new() { MapInboundClaims = false };

    /// <summary>Signatures that only the issuer can make: not none, and no secret that it shares with others (HS256).</summary>
    private static readonly string[] s_algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    private static readonly TimeSpan s_skew = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<(string Issuer, string? JwksUrl, string? Jwks), OAuthKeys> _keys = new();

    /// <summary>From any thread; <paramref name="done"/> is called once, on any thread.</summary>
    public void Check(OAuthConfig config, string token, Action<OAuthAnswer> done) =>
        ThreadPool.UnsafeQueueUserWorkItem(static s => _ = s.Tokens.TellAsync(s.config, s.token, s.done), (Tokens: this, config, token, done), preferLocal: false);

    /// <summary>RELOAD: keys are asked for anew.</summary>
    public void Forget() => _keys.Clear();

    private async Task TellAsync(OAuthConfig config, string token, Action<OAuthAnswer> done)
    {
        IoThread.MustNotBeHere();
        OAuthAnswer answer;
        try
        {
            answer = await CheckAsync(config, token).ConfigureAwait(false);
        }
        catch (Exception fault) // Whatever it is, who waits must be answered.
        {
            answer = Refused($"it cannot be read ({fault.GetType().Name})"); // Not its message: parts of the token may be in it.
        }

        done(answer);
    }

    private async Task<OAuthAnswer> CheckAsync(OAuthConfig config, string token)
    {
        if (!s_handler.CanReadToken(token) || s_handler.ReadToken(token) is not JsonWebToken { InnerToken: null } read || read.IsEncrypted)
        {
            return Refused("it is no signed JSON Web Token");
        }

        if (read.TryGetHeaderValue("crit", out object _))
        {
            return Refused("it has critical extensions, of which none is known"); // RFC 7515, 4.1.11.
        }

        OAuthKeys keys = _keys.GetOrAdd((config.Issuer, config.JwksUrl, config.Jwks), _ => new OAuthKeys(config, log));
        OAuthKeySet known = await keys.FindAsync(read.Kid).ConfigureAwait(false);
        if (known.Keys.IsEmpty)
        {
            return Refused(known.Problem ?? "the issuer has no keys");
        }

        TokenValidationResult result = await s_handler.ValidateTokenAsync(read, new TokenValidationParameters
        {
            ValidIssuer = config.Issuer,
            ValidAudiences = config.Audiences,
            IssuerSigningKeys = known.Keys,
            ValidAlgorithms = s_algorithms,
            ClockSkew = s_skew,
        }).ConfigureAwait(false);
        return result.IsValid ? Read(config, read) : Refused(Reason(result.Exception));
    }

    private static OAuthAnswer Read(OAuthConfig config, JsonWebToken token)
    {
        using JsonDocument claims = JsonDocument.Parse(Base64UrlEncoder.DecodeBytes(token.EncodedPayload));
        HashSet<string> scopes = [.. ListOf(claims.RootElement, "scope"), .. ListOf(claims.RootElement, "scp")];
        if (config.Scope.Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault(scope => !scopes.Contains(scope)) is { } missing)
        {
            return Refused($"it lacks the scope {missing}");
        }

        return claims.RootElement.TryGetProperty(config.UserClaim, out JsonElement claim) && claim.ValueKind == JsonValueKind.String
            && claim.GetString() is { Length: > 0 } identity
            ? new OAuthAnswer(identity, null)
            : Refused($"it has no {config.UserClaim} (oauth_user_claim)");
    }

    /// <summary>Words between blanks (RFC 8693, 4.2), or an array of them, as some issuers write them.</summary>
    private static IEnumerable<string> ListOf(JsonElement claims, string name) =>
        !claims.TryGetProperty(name, out JsonElement claim) ? []
        : claim.ValueKind == JsonValueKind.String ? claim.GetString()!.Split(' ')
        : claim.ValueKind == JsonValueKind.Array ? claim.EnumerateArray().Where(static e => e.ValueKind == JsonValueKind.String).Select(static e => e.GetString()!)
        : [];

    private static OAuthAnswer Refused(string problem) => new(null, problem);

    /// <summary>In words of ours: the library's are long, and quote what the stranger has sent.</summary>
    private static string Reason(Exception fault) => fault switch
    {
        SecurityTokenExpiredException => "it has expired",
        SecurityTokenNotYetValidException => "it is not valid yet",
        SecurityTokenNoExpirationException => "it has no exp",
        SecurityTokenInvalidLifetimeException => "its nbf is later than its exp",
        SecurityTokenInvalidIssuerException => "it is of another issuer",
        SecurityTokenInvalidAudienceException => "it is for another audience",
        SecurityTokenInvalidAlgorithmException => "its algorithm is not taken",
        SecurityTokenInvalidSignatureException => "its signature is not by a key of the issuer, or by an algorithm that is not taken",
        _ => $"it cannot be checked ({fault.GetType().Name})",
    };
}
