using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.Config;

/// <summary>Reads the files that TLS settings name. What is wrong with one is an error that names the setting.</summary>
internal sealed class TlsFiles(Action<Setting, string> error)
{
    /// <summary>PostgreSQL's name in ALPN (documentation, 55.2.11).</summary>
    public static readonly SslApplicationProtocol Postgres = new("postgresql");

    /// <summary>The certificate with its key, and what the file has behind it; null with an error said.</summary>
    public (X509Certificate2 Certificate, X509Certificate2Collection Chain)? ReadPair(Setting certSetting, string certFile, Setting keySetting, string keyFile)
    {
        string? certText = Read(certSetting, certFile), keyText = Read(keySetting, keyFile);
        if (certText == null || keyText == null)
        {
            return null;
        }

        try
        {
            var all = new X509Certificate2Collection();
            all.ImportFromPem(certText);
            if (all.Count == 0)
            {
                error(certSetting, $"{certFile} has no certificate (PEM, -----BEGIN CERTIFICATE-----)");
                return null;
            }

            X509Certificate2 pair = X509Certificate2.CreateFromPem(certText, keyText);
            all.RemoveAt(0); // The first is the certificate itself, as in PostgreSQL's ssl_cert_file.
            return (pair, all);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            error(keySetting, $"{keyFile} and {certFile} are no pair of key and certificate: {e.Message}");
            return null;
        }
    }

    /// <summary>The authorities that certificates are checked by; null: no file is named, or it is wrong, which has been said.</summary>
    public X509Certificate2Collection? ReadAuthorities(Setting setting, string file)
    {
        if (file.Length == 0 || Read(setting, file) is not { } text)
        {
            return null;
        }

        try
        {
            var all = new X509Certificate2Collection();
            all.ImportFromPem(text);
            if (all.Count > 0)
            {
                return all;
            }

            error(setting, $"{file} has no certificate (PEM, -----BEGIN CERTIFICATE-----)");
        }
        catch (CryptographicException e)
        {
            error(setting, $"{file}: {e.Message}");
        }

        return null;
    }

    /// <summary>Certificates that chain up to these, or to the system's when there are none. Nothing is fetched for it from anywhere.</summary>
    public static X509ChainPolicy Policy(X509Certificate2Collection? authorities)
    {
        var policy = new X509ChainPolicy { RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        if (authorities != null)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(authorities);
        }

        return policy;
    }

    /// <summary>
    /// The data of tls-server-end-point (RFC 5929, 4.1): its hash, by the function of its signature, SHA-256 in the place of
    /// MD5 and SHA-1. Null: there is no such function (Ed25519).
    /// </summary>
    public static byte[]? EndPointOf(X509Certificate2? certificate) => certificate?.SignatureAlgorithm.Value switch
    {
        "1.2.840.113549.1.1.4" or "1.2.840.113549.1.1.5" or "1.2.840.113549.1.1.11" or "1.2.840.10045.4.1" or "1.2.840.10045.4.3.2"
            => SHA256.HashData(certificate.RawDataMemory.Span),
        "1.2.840.113549.1.1.12" or "1.2.840.10045.4.3.3" => SHA384.HashData(certificate.RawDataMemory.Span),
        "1.2.840.113549.1.1.13" or "1.2.840.10045.4.3.4" => SHA512.HashData(certificate.RawDataMemory.Span),
        _ => null,
    };

    private string? Read(Setting setting, string file)
    {
        if (TextFile.TryRead(file, out string? text, out string? problem))
        {
            return text;
        }

        error(setting, problem);
        return null;
    }
}
