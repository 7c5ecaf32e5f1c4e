using System.Collections.Immutable;
using System.Net.Security;

namespace Pooler.Config;

/// <summary>
/// The cipher suites that a setting allows, in OpenSSL's names. Of OpenSSL's language for groups of suites there is what configurations
/// of PgBouncer use: groups that stand for all suites below, and exclusions of what is not among them anyway. No suite without forward secrecy or
/// authenticated encryption is ever spoken.
/// </summary>
/// <param name="Suites">Empty: those of the platform.</param>
internal sealed record TlsCiphers(string Text, ImmutableArray<TlsCipherSuite> Suites)
{
    private static readonly (string Name, TlsCipherSuite Suite)[] s_suites =
    [
        ("ECDHE-ECDSA-AES256-GCM-SHA384", TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        ("ECDHE-RSA-AES256-GCM-SHA384", TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        ("ECDHE-RSA-CHACHA20-POLY1305", TlsCipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        ("ECDHE-RSA-AES128-GCM-SHA256", TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        ("DHE-RSA-AES256-GCM-SHA384", TlsCipherSuite.TLS_DHE_RSA_WITH_AES_256_GCM_SHA384),
        ("DHE-RSA-AES128-GCM-SHA256", TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256),
    ];

    private static readonly (string Name, TlsCipherSuite Suite)[] s_suitesOf13 =
    [
        ("TLS_AES_256_GCM_SHA384", TlsCipherSuite.TLS_AES_256_GCM_SHA384),
        ("TLS_CHACHA20_POLY1305_SHA256", TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256),
        ("TLS_AES_128_GCM_SHA256", TlsCipherSuite.TLS_AES_128_GCM_SHA256),
    ];

    private static readonly ImmutableArray<string> s_groups = ["default", "secure", "normal", "fast", "high"];

    // Suites of these kinds are not in the tables.
    private static readonly ImmutableArray<string> s_excluded =
        ["aNULL", "eNULL", "NULL", "EXPORT", "EXP", "LOW", "MEDIUM", "DES", "3DES", "RC4", "MD5", "PSK", "SRP", "DSS", "kRSA", "SEED", "IDEA", "CAMELLIA", "ADH", "AECDH"];

    /// <summary>Up to TLS 1.2.</summary>
    public static bool TryParse(string text, out TlsCiphers ciphers) => TryParse(text, s_suites, out ciphers);

    public static bool TryParse13(string text, out TlsCiphers ciphers) => TryParse(text, s_suitesOf13, out ciphers);

    /// <summary>OpenSSL's name of a suite, as psql and pg_stat_ssl show it.</summary>
    public static string NameOf(TlsCipherSuite suite) => s_suites.FirstOrDefault(s => s.Suite == suite).Name ?? suite.ToString();

    /// <summary>Null: the platform's.</summary>
    public static CipherSuitesPolicy? PolicyOf(TlsCiphers upTo12, TlsCiphers? of13)
    {
        if (upTo12.Suites.IsEmpty && of13 is null or { Suites.IsEmpty: true })
        {
            return null;
        }

        IEnumerable<TlsCipherSuite> old = upTo12.Suites.IsEmpty ? s_suites.Select(static s => s.Suite) : upTo12.Suites;
        IEnumerable<TlsCipherSuite> new13 = of13 is { Suites.IsEmpty: false } ? of13.Suites : s_suitesOf13.Select(static s => s.Suite);
#pragma warning disable CA1416 // Only Windows has no policies.
        return new CipherSuitesPolicy(new13.Concat(old));
#pragma warning restore CA1416
    }

    private static bool TryParse(string text, (string Name, TlsCipherSuite Suite)[] known, out TlsCiphers ciphers)
    {
        List<TlsCipherSuite> suites = [];
        bool isSound = true, isAll = text.Length == 0;
        foreach (string word in text.Split([':', ',', ' '], StringSplitOptions.RemoveEmptyEntries))
        {
            if (s_groups.Contains(word, StringComparer.OrdinalIgnoreCase))
            {
                isAll = true;
            }
            else if (word[0] is '!' or '-')
            {
                isSound &= s_excluded.Contains(word[1..], StringComparer.Ordinal);
            }
            else if (!word.StartsWith('@') && word[0] != '+')
            {
                int index = Array.FindIndex(known, s => s.Name == word);
                isSound &= index >= 0;
                suites.Add(index >= 0 ? known[index].Suite : default);
            }
        }

        ciphers = new TlsCiphers(text, isAll ? [] : [.. suites.Distinct()]);
        return isSound && (isAll || suites.Count > 0);
    }
}
