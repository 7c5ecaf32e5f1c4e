using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

/// <summary>OAuth is refused at the start where it would let in too many, or nobody.</summary>
public sealed class OAuthConfigTests : IDisposable
{
    private const string OAuth = "[pgbouncer]\nauth_type = oauth\n";

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("oauth_audience = a", "2: auth_type = oauth needs oauth_issuer")]
    [InlineData("oauth_issuer = https://id.example", "2: oauth needs oauth_audience")]
    [InlineData("oauth_issuer = http://id.example\noauth_audience = a", "3: oauth_issuer = \"http://id.example\" is not valid: an https:// URL", "2: auth_type = oauth needs oauth_issuer")]
    [InlineData("oauth_issuer = https://id.example/?x\noauth_audience = a", "3: oauth_issuer", "2: auth_type")]
    [InlineData("oauth_issuer = https://u:p@id.example\noauth_audience = a", "3: oauth_issuer", "2: auth_type")]
    [InlineData("oauth_issuer = https://id.example\noauth_audience = a\noauth_jwks_url = ftp://localhost/keys", "5: oauth_jwks_url")]
    [InlineData("oauth_issuer = https://id.example\noauth_audience = a\noauth_jwks_file = nowhere", "5: oauth_jwks_file: could not read")]
    [InlineData("oauth_issuer = https://id.example\noauth_audience = a\noauth_jwks_file = pooler.ini", "5: oauth_jwks_file")]
    public void WhatIsMissingIsTold(string lines, params string[] problems)
    {
        string[] errors = _folder.LoadWrong(OAuth + lines);
        Assert.Equal(problems.Length, errors.Length);
        Assert.All(problems.Zip(errors), static pair => Assert.StartsWith("pooler.ini:" + pair.First, pair.Second, StringComparison.Ordinal));
    }

    [Fact]
    public void AKeySetOfSharedSecretsIsNone()
    {
        _folder.Write("keys", """{"keys":[{"kty":"oct","kid":"a","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}""");
        string[] errors = _folder.LoadWrong(OAuth + "oauth_issuer = https://id.example\noauth_audience = a\noauth_jwks_file = " + _folder.Path("keys"));
        Assert.Contains("has no key that signatures can be checked with", Assert.Single(errors), StringComparison.Ordinal);
    }

    /// <summary>The keys that are configured are oauth_issuer's: they say nothing of another's tokens.</summary>
    [Fact]
    public void ALineWithAnotherIssuerHasItsOwnKeys()
    {
        _folder.Write("hba", "local all all oauth issuer=https://other.example scope=x\nlocal all all oauth");
        PoolerConfig config = _folder.LoadRight(
            "[pgbouncer]\nauth_type = hba\noauth_issuer = https://id.example/\noauth_audience = a, b\noauth_scope = y\noauth_jwks_url = http://localhost/keys\nauth_hba_file = " + _folder.Path("hba"));
        OAuthConfig other = config.OAuthOf(config.Hba!.Rules[0])!, own = config.OAuthOf(config.Hba.Rules[1])!;
        Assert.Equal(("https://other.example", "x", null), (other.Issuer, other.Scope, other.JwksUrl));
        Assert.Equal(("https://id.example/", "y", "http://localhost/keys"), (own.Issuer, own.Scope, own.JwksUrl));
        Assert.Equal("https://id.example/.well-known/openid-configuration", own.ConfigurationUrl);
        Assert.Equal(["a", "b"], other.Audiences);
    }

    [Fact]
    public void ALineWithoutAnIssuerNeedsTheSetting()
    {
        _folder.Write("hba", "local all all reject\nlocal all all oauth");
        string error = Assert.Single(_folder.LoadWrong("[pgbouncer]\nauth_type = hba\noauth_audience = a\nauth_hba_file = " + _folder.Path("hba")));
        Assert.StartsWith("hba:2: oauth needs issuer=", error, StringComparison.Ordinal);
    }
}
