namespace Pooler.Config;

/// <summary>What a configuration with OAuth lacks: whoever could log in for that would be a stranger.</summary>
internal static class OAuthChecks
{
    /// <summary>Each with the HBA line that is wrong, or null.</summary>
    public static IEnumerable<(string? Place, string Problem)> Problems(PoolerConfig config)
    {
        HbaRule[] rules = [.. config.Hba?.Rules.Where(static rule => rule.Method == HbaMethod.OAuth) ?? []];
        bool isForAll = config.Get(Settings.AuthType) == AuthType.OAuth;
        if (!isForAll && rules.Length == 0)
        {
            yield break;
        }

        string? issuer = config.Get(Settings.OAuthIssuer);
        if (isForAll && issuer == null)
        {
            yield return (null, "auth_type = oauth needs oauth_issuer: whose tokens are to be believed?");
        }

        foreach (HbaRule rule in rules.Where(rule => rule.Issuer == null && issuer == null))
        {
            yield return (rule.Place, "oauth needs issuer=, or the setting oauth_issuer: whose tokens are to be believed?");
        }

        if (config.Get(Settings.OAuthAudience).IsEmpty)
        {
            yield return (null, "oauth needs oauth_audience: without it a token that was issued for any other service would let its bearer in");
        }

        if (config.Get(Settings.OAuthJwksUrl) != null && config.Get(Settings.OAuthJwksFile) != null)
        {
            yield return (null, "oauth_jwks_url and oauth_jwks_file: give one of them");
        }
    }
}
