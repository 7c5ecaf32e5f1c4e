using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Pooler.Config;
using Pooler.Frontend;
using Xunit;

namespace Pooler.Tests.Frontend;

/// <summary>Whom a certificate names, and whom it does not although somebody could read it so.</summary>
public sealed class CertificateNamesTests
{
    private const string CommonName = "2.5.4.3", Organization = "2.5.4.10", Unit = "2.5.4.11";

    [Fact]
    public void TheCommonName()
    {
        Assert.Equal(["app"], Names(HbaClientName.CommonName, (Organization, "example"), (CommonName, "app")));
        Assert.Equal(["Ünï cödé"], Names(HbaClientName.CommonName, (CommonName, "Ünï cödé")));
        Assert.Empty(Names(HbaClientName.CommonName, (Organization, "app")));
        Assert.Empty(Names(HbaClientName.CommonName));
        Assert.Empty(Names(HbaClientName.CommonName, (CommonName, "")));
    }

    /// <summary>One reader takes the first, another the last.</summary>
    [Fact]
    public void SeveralCommonNamesNameNobody()
    {
        Assert.Empty(Names(HbaClientName.CommonName, (CommonName, "app"), (CommonName, "admin")));
        Assert.Empty(Names(HbaClientName.CommonName, (CommonName, "app"), (CommonName, "app")));
    }

    /// <summary>A part of the name that has two attributes may hide one of them.</summary>
    [Fact]
    public void ACommonNameBesideSomethingElseNamesNobody()
    {
        Assert.Empty(Names(HbaClientName.CommonName, [[(CommonName, "app"), (Unit, "clients")]]));
        Assert.Empty(Names(HbaClientName.CommonName, [[(CommonName, "admin"), (Unit, "clients")], [(CommonName, "app")]]));
        Assert.Empty(Names(HbaClientName.DistinguishedName, [[(CommonName, "admin"), (Unit, "clients")], [(CommonName, "app")]]));
    }

    /// <summary>C would read admin (CVE-2009-4034).</summary>
    [Fact]
    public void ANulInsideNamesNobody()
    {
        Assert.Empty(Names(HbaClientName.CommonName, (CommonName, "admin\0.example")));
        Assert.Empty(Names(HbaClientName.CommonName, (CommonName, "admin\0")));
        Assert.Empty(Names(HbaClientName.DistinguishedName, (CommonName, "admin\0.example")));
        Assert.Equal(["app.example"], Names(HbaClientName.AlternativeName, Alternatives((2, "admin\0.example"), (2, "app.example"))));
    }

    [Fact]
    public void TheWholeNameFromItsEnd()
    {
        Assert.Equal(["CN=app,OU=clients,O=example"], Names(HbaClientName.DistinguishedName, (Organization, "example"), (Unit, "clients"), (CommonName, "app")));
        Assert.Equal(["CN=app,DC=example,DC=org"], Names(HbaClientName.DistinguishedName,
            ("0.9.2342.19200300.100.1.25", "org"), ("0.9.2342.19200300.100.1.25", "example"), (CommonName, "app")));
        Assert.Empty(Names(HbaClientName.DistinguishedName));
    }

    /// <summary>A value that looks like more parts of a name stays one (RFC 2253, 2.4).</summary>
    [Theory]
    [InlineData("a,OU=b", "a\\,OU=b")]
    [InlineData("a+b", "a\\+b")]
    [InlineData("a\"b", "a\\\"b")]
    [InlineData("a\\b", "a\\\\b")]
    [InlineData("<a>;", "\\<a\\>\\;")]
    [InlineData("#a#", "\\#a#")]
    [InlineData(" a b ", "\\ a b\\ ")]
    [InlineData(" ", "\\ ")]
    [InlineData("a=b", "a=b")]
    [InlineData("Ünï", "\\C3\\9Cn\\C3\\AF")]
    [InlineData("a\tb\u007f", "a\\09b\\7F")]
    public void SpecialCharactersAreEscaped(string value, string written) =>
        Assert.Equal([$"CN={written},O=example"], Names(HbaClientName.DistinguishedName, (Organization, "example"), (CommonName, value)));

    /// <summary>E-mail addresses, hosts and URIs; other kinds are no names of users.</summary>
    [Fact]
    public void AlternativeNames()
    {
        Assert.Equal(["a@example.org", "a.example.org", "spiffe://example.org/a"],
            Names(HbaClientName.AlternativeName, Alternatives((1, "a@example.org"), (2, "a.example.org"), (6, "spiffe://example.org/a"), (7, "\u007f\0\0\u0001"))));
        Assert.Empty(Names(HbaClientName.AlternativeName, (CommonName, "app")));
        Assert.Empty(Names(HbaClientName.CommonName, Alternatives((2, "app"))));
    }

    /// <summary>What cannot be read names nobody, and throws nothing.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("3003820541")]
    [InlineData("3003820180")]
    [InlineData("30038001410000")]
    [InlineData("04024141")]
    public void BrokenAlternativeNames(string hex)
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest("CN=app", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509Extension(new Oid("2.5.29.17"), Convert.FromHexString(hex), critical: false));
        Assert.Empty(CertificateNames.Of(Create(request), HbaClientName.AlternativeName));
    }

    private static string[] Names(HbaClientName kind, params (string Oid, string Value)[] parts) => Names(kind, [.. parts.Select(static part => new[] { part })]);

    private static string[] Names(HbaClientName kind, (string Oid, string Value)[][] parts)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach ((string, string)[] part in parts)
            {
                using (writer.PushSetOf())
                {
                    foreach ((string oid, string value) in part)
                    {
                        using (writer.PushSequence())
                        {
                            writer.WriteObjectIdentifier(oid);
                            writer.WriteCharacterString(UniversalTagNumber.UTF8String, value);
                        }
                    }
                }
            }
        }

        return Names(kind, new X500DistinguishedName(writer.Encode()), null);
    }

    private static string[] Names(HbaClientName kind, X509Extension extension) => Names(kind, new X500DistinguishedName("O=example"), extension);

    private static string[] Names(HbaClientName kind, X500DistinguishedName subject, X509Extension? extension)
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        if (extension != null)
        {
            request.CertificateExtensions.Add(extension);
        }

        return [.. CertificateNames.Of(Create(request), kind)];
    }

    private static X509Certificate2 Create(CertificateRequest request) => request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));

    private static X509Extension Alternatives(params (int Tag, string Value)[] names)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach ((int tag, string value) in names)
            {
                writer.WriteOctetString(System.Text.Encoding.Latin1.GetBytes(value), new Asn1Tag(TagClass.ContextSpecific, tag));
            }
        }

        return new X509Extension(new Oid("2.5.29.17"), writer.Encode(), critical: false);
    }
}
