using System.Security.Authentication;

namespace Pooler.Config;

/// <summary>The versions of TLS that a setting allows, in PgBouncer's words (libusual, tls_config_parse_protocols).</summary>
internal sealed record TlsVersions(string Text, SslProtocols Protocols)
{
#pragma warning disable SYSLIB0039, CA5397, CA5398 // Old versions are spoken only if they are asked for by name; most systems refuse them even then.
    private static readonly (string Word, SslProtocols Protocols)[] s_words =
    [
        ("secure", SslProtocols.Tls12 | SslProtocols.Tls13),
        ("default", SslProtocols.Tls12 | SslProtocols.Tls13),
        ("all", SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13),
        ("legacy", SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13),
        ("tlsv1.0", SslProtocols.Tls),
        ("tlsv1.1", SslProtocols.Tls11),
        ("tlsv1.2", SslProtocols.Tls12),
        ("tlsv1.3", SslProtocols.Tls13),
        ("tlsv1", SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13),
    ];

    /// <summary>Words are added up from the left; one behind a ! is taken away.</summary>
    public static bool TryParse(string text, out TlsVersions versions)
    {
        SslProtocols protocols = SslProtocols.None;
        bool isSound = true;
        foreach (string word in text.Split([',', ':', ' '], StringSplitOptions.RemoveEmptyEntries))
        {
            SslProtocols named = s_words.FirstOrDefault(w => w.Word.Equals(word.TrimStart('!'), StringComparison.OrdinalIgnoreCase)).Protocols;
            isSound &= named != SslProtocols.None;
            protocols = word.StartsWith('!') ? protocols & ~named : protocols | named;
        }

        versions = new TlsVersions(text, protocols);
        return isSound && protocols != SslProtocols.None;
    }
#pragma warning restore SYSLIB0039, CA5397, CA5398
}
