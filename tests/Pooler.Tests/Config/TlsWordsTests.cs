using System.Net.Security;
using System.Security.Authentication;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

/// <summary>Versions and cipher suites of TLS, as settings write them.</summary>
public sealed class TlsWordsTests
{
    [Theory]
    [InlineData("secure", SslProtocols.Tls12 | SslProtocols.Tls13)]
    [InlineData("tlsv1.2", SslProtocols.Tls12)]
    [InlineData("TLSv1.3", SslProtocols.Tls13)]
    [InlineData("tlsv1.2,tlsv1.3", SslProtocols.Tls12 | SslProtocols.Tls13)]
    [InlineData("secure:!tlsv1.2", SslProtocols.Tls13)]
    [InlineData("sslv3", null)]
    [InlineData("tlsv1.3,!tlsv1.3", null)]
    [InlineData("", null)]
    public void Versions(string text, SslProtocols? expected)
    {
        Assert.Equal(expected != null, TlsVersions.TryParse(text, out TlsVersions versions));
        Assert.Equal(expected ?? versions.Protocols, versions.Protocols);
    }

    [Theory]
    [InlineData("default", true, 0)]
    [InlineData("", true, 0)]
    [InlineData("fast", true, 0)]
    [InlineData("HIGH:!aNULL:!MD5", true, 0)]
    [InlineData("ECDHE-RSA-AES128-GCM-SHA256", true, 1)]
    [InlineData("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:@STRENGTH", true, 2)]
    [InlineData("AES128-SHA", false, 0)] // No forward secrecy.
    [InlineData("ECDHE-RSA-AES128-SHA", false, 0)]
    [InlineData("!ECDHE", false, 0)] // What it would leave nobody says.
    [InlineData("aNULL", false, 0)]
    [InlineData("ALL", false, 0)]
    public void Ciphers(string text, bool isRight, int suites)
    {
        Assert.Equal(isRight, TlsCiphers.TryParse(text, out TlsCiphers ciphers));
        Assert.True(!isRight || ciphers.Suites.Length == suites);
    }

    [Fact]
    public void AListOfOneKindLeavesTheOtherKindToThePlatform()
    {
        Assert.True(TlsCiphers.TryParse("default", out TlsCiphers all));
        Assert.Null(TlsCiphers.PolicyOf(all, null));
        Assert.True(TlsCiphers.TryParse13("TLS_AES_128_GCM_SHA256", out TlsCiphers one));
#pragma warning disable CA1416 // Only Windows has no policies.
        TlsCipherSuite[] allowed = [.. TlsCiphers.PolicyOf(all, one)!.AllowedCipherSuites];
#pragma warning restore CA1416
        Assert.Contains(TlsCipherSuite.TLS_AES_128_GCM_SHA256, allowed);
        Assert.DoesNotContain(TlsCipherSuite.TLS_AES_256_GCM_SHA384, allowed);
        Assert.Contains(TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, allowed);
    }
}
