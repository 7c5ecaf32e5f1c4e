using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.Net;

/// <summary>What PostgreSQL reads from certificates.</summary>
internal static class TlsCertificate
{
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
}
