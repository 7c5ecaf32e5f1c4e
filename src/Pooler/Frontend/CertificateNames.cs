using System.Formats.Asn1;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Pooler.Config;

namespace Pooler.Frontend;

/// <summary>
/// Whom a client's certificate names (PostgreSQL documentation, 20.12, clientname). What could be read in two ways names nobody: a NUL inside
/// (CVE-2009-4034), several common names, parts of several attributes.
/// </summary>
internal static class CertificateNames
{
    private const string CommonNameOid = "2.5.4.3", AlternativeNamesOid = "2.5.29.17";

    private static readonly Dictionary<string, string> s_types = new()
    {
        [CommonNameOid] = "CN",
        ["2.5.4.6"] = "C",
        ["2.5.4.7"] = "L",
        ["2.5.4.8"] = "ST",
        ["2.5.4.10"] = "O",
        ["2.5.4.11"] = "OU",
        ["0.9.2342.19200300.100.1.25"] = "DC",
        ["0.9.2342.19200300.100.1.1"] = "UID",
        ["1.2.840.113549.1.9.1"] = "emailAddress",
    };

    public static IEnumerable<string> Of(X509Certificate2 certificate, HbaClientName kind)
    {
        try
        {
            string[] names = kind switch
            {
                HbaClientName.AlternativeName => [.. AlternativeNamesOf(certificate)],
                HbaClientName.DistinguishedName => [DistinguishedNameOf(certificate)],
                _ => CommonNamesOf(certificate) is [var one] ? [one] : [],
            };
            return names.Where(static name => name.Length > 0 && !name.Contains('\0'));
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException or InvalidOperationException or ArgumentException)
        {
            return [];
        }
    }

    private static string[] CommonNamesOf(X509Certificate2 certificate) =>
        [.. PartsOf(certificate).Where(static part => part.Type == CommonNameOid).Select(static part => part.Value)];

    /// <summary>As RFC 2253 writes it, from the last part to the first: CN=app,OU=clients,O=example.</summary>
    private static string DistinguishedNameOf(X509Certificate2 certificate) =>
        string.Join(',', PartsOf(certificate).Select(static part => $"{s_types.GetValueOrDefault(part.Type, part.Type)}={Escape(part.Value)}"));

    /// <summary>
    /// The last comes first. Read by ourselves: what .NET says of a value has lost a NUL at its end. A part of two attributes is one too many
    /// for a name that can be read in one way only.
    /// </summary>
    private static IEnumerable<(string Type, string Value)> PartsOf(X509Certificate2 certificate)
    {
        foreach (X500RelativeDistinguishedName name in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            AsnReader attributes = new AsnReader(name.RawData, AsnEncodingRules.DER).ReadSetOf();
            AsnReader attribute = attributes.ReadSequence();
            attributes.ThrowIfNotEmpty();
            yield return (attribute.ReadObjectIdentifier(), attribute.ReadCharacterString((UniversalTagNumber)attribute.PeekTag().TagValue));
        }
    }

    /// <summary>
    /// As OpenSSL (XN_FLAG_RFC2253), and so PostgreSQL, writes it: a byte of UTF-8 that is no printable ASCII is a backslash and two hexadecimal
    /// digits. A NUL stays what it is, so that it names nobody.
    /// </summary>
    private static string Escape(string value)
    {
        var text = new StringBuilder();
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        for (int i = 0; i < bytes.Length; i++)
        {
            char c = (char)bytes[i];
            if (c != '\0' && c is < ' ' or > '~')
            {
                text.Append(CultureInfo.InvariantCulture, $"\\{bytes[i]:X2}");
                continue;
            }

            bool isEdge = (i == 0 && c is ' ' or '#') || (i == bytes.Length - 1 && c == ' ');
            if (isEdge || c is ',' or '+' or '"' or '\\' or '<' or '>' or ';')
            {
                text.Append('\\');
            }

            text.Append(c);
        }

        return text.ToString();
    }

    /// <summary>E-mail addresses, names of hosts and URIs of subjectAltName (RFC 5280, 4.2.1.6).</summary>
    private static IEnumerable<string> AlternativeNamesOf(X509Certificate2 certificate)
    {
        foreach (X509Extension extension in certificate.Extensions.Where(static e => e.Oid?.Value == AlternativeNamesOid))
        {
            AsnReader names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
            while (names.HasData)
            {
                Asn1Tag tag = names.PeekTag();
                if (tag.TagClass == TagClass.ContextSpecific && tag.TagValue is 1 or 2 or 6)
                {
                    yield return names.ReadCharacterString(UniversalTagNumber.IA5String, tag);
                }
                else
                {
                    names.ReadEncodedValue();
                }
            }
        }
    }
}
