using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Pooler.Config;
using Pooler.Frontend;
using Xunit;

namespace Pooler.Tests.Frontend;

/// <summary>Whom a certificate names: one name that can be read in one way, or nobody.</summary>
public sealed class CertificateNamesTests
{
    [Theory]
    [InlineData("CN=app", "app")]
    [InlineData("CN=App", "App")] // As it is written: user names have a case.
    [InlineData("CN=müller, O=Größe", "müller")]
    [InlineData("O=app", "")]
    [InlineData("CN=app, CN=root", "")]
    [InlineData("CN=\"app,CN=root\"", "app,CN=root")]
    public void TheCommonName(string subject, string expected) => Assert.Equal(expected, Only(Of(new X500DistinguishedName(subject), HbaClientName.CommonName)));

    /// <summary>CVE-2009-4034: a C program reads "root" and the authority has signed something else.</summary>
    [Fact]
    public void ANulNamesNobody()
    {
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName("root\0.example.net");
        Assert.Empty(Of(name.Build(), HbaClientName.CommonName));
        Assert.Empty(Of(name.Build(), HbaClientName.CommonName));
    }

    [Theory]
    [InlineData("CN=jane, OU=people, O=Example", "CN=jane,OU=people,O=Example")]
    [InlineData("CN=jane, O=\"Example, Inc.\"", "CN=jane,O=Example\\, Inc.")]
    [InlineData("CN=\"a+b\", C=DE", "CN=a\\+b,C=DE")]
    [InlineData("CN=\"#1\"", "CN=\\#1")]
    public void TheWholeName(string subject, string expected) =>
        Assert.Equal(expected, Only(Of(new X500DistinguishedName(subject), HbaClientName.DistinguishedName)));

    [Fact]
    public void AlternativeNames()
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddEmailAddress("jane@example.com");
        names.AddDnsName("host.example.com");
        names.AddUri(new Uri("spiffe://example.com/app"));
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        Assert.Equal(["jane@example.com", "host.example.com", "spiffe://example.com/app"],
            Of(new X500DistinguishedName("CN=x"), HbaClientName.AlternativeName, names.Build()));
        Assert.Empty(Of(new X500DistinguishedName("CN=x"), HbaClientName.AlternativeName));
    }

    /// <summary>What is no list of names, or has a NUL in one.</summary>
    [Fact]
    public void BrokenAlternativeNamesNameNobody()
    {
        Assert.Empty(Of(new X500DistinguishedName("CN=x"), HbaClientName.AlternativeName, new X509Extension("2.5.29.17", [1, 2, 3], critical: false)));
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
            writer.WriteCharacterString(UniversalTagNumber.IA5String, "root\0.example.net", new Asn1Tag(TagClass.ContextSpecific, 2));
        Assert.Empty(Of(new X500DistinguishedName("CN=x"), HbaClientName.AlternativeName, new X509Extension("2.5.29.17", writer.Encode(), critical: false)));
    }

    private static string Only(string[] names) => names.Length == 0 ? "" : Assert.Single(names);

    private static string[] Of(X500DistinguishedName subject, HbaClientName kind, X509Extension? extension = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        if (extension != null)
            request.CertificateExtensions.Add(extension);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return [.. CertificateNames.Of(certificate, kind)];
    }
}
