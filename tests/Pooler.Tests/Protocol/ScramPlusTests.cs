using System.Text;
using Pooler.Protocol;
using Xunit;
using static Pooler.Tests.Protocol.ScramVector;

namespace Pooler.Tests.Protocol;

/// <summary>SCRAM-SHA-256-PLUS: a login is bound to the certificate that both sides have seen (RFC 5802 section 6, RFC 5929 section 4).</summary>
public sealed class ScramPlusTests
{
    private static readonly byte[] s_seen = [.. Enumerable.Range(0, 32).Select(static i => (byte)i)];

    [Fact]
    public void BothSidesBindToWhatTheyHaveSeen()
    {
        var client = new ScramClient(s_seen, serverBinds: true);
        Assert.True(client.IsPlus);
        Assert.StartsWith("p=tls-server-end-point,,n=,r=", Encoding.ASCII.GetString(client.ClientFirst), StringComparison.Ordinal);
        Assert.Equal("", Exchange(new ScramServer(RfcVerifier, s_seen), client, isPlus: true));
        Assert.True(client.ServerVerified);
    }

    /// <summary>Somebody stands between: each side has seen another certificate.</summary>
    [Fact]
    public void AnotherCertificateIsRefused()
    {
        byte[] other = [.. s_seen];
        other[31] ^= 1;
        Assert.Contains("channel-binding", Exchange(new ScramServer(RfcVerifier, s_seen), new ScramClient(other, serverBinds: true), isPlus: true), StringComparison.Ordinal);
        Assert.Contains("channel-binding", Exchange(new ScramServer(RfcVerifier, s_seen), new ScramClient([.. s_seen, 0], serverBinds: true), isPlus: true), StringComparison.Ordinal);
    }

    /// <summary>He has taken -PLUS out of our offer: the client says that it could have.</summary>
    [Fact]
    public void AnOfferThatWasTakenAwayIsNoticed()
    {
        var client = new ScramClient(s_seen, serverBinds: false);
        Assert.False(client.IsPlus);
        Assert.StartsWith("y,,", Encoding.ASCII.GetString(client.ClientFirst), StringComparison.Ordinal);
        Assert.Contains("negotiation error", Exchange(new ScramServer(RfcVerifier, s_seen), client, isPlus: false), StringComparison.Ordinal);
        Assert.Equal("", Exchange(new ScramServer(RfcVerifier), new ScramClient(s_seen, serverBinds: false), isPlus: false)); // Nothing was offered.
    }

    [Theory]
    [InlineData("p=tls-server-end-point,,n=,r=abc", false, true, "channel binding was not offered")] // Without the mechanism.
    [InlineData("p=tls-server-end-point,,n=,r=abc", true, false, "channel binding was not offered")] // Without TLS.
    [InlineData("p=tls-unique,,n=,r=abc", true, true, "unsupported SCRAM channel-binding type")]
    [InlineData("p=,,n=,r=abc", true, true, "unsupported SCRAM channel-binding type")]
    [InlineData("n,,n=,r=abc", true, true, "without channel binding data")]
    [InlineData("y,,n=,r=abc", true, true, "without channel binding data")]
    [InlineData("p=tls-server-end-point,a=root,n=,r=abc", true, true, "authorization identity")]
    [InlineData("p=tls-server-end-point", true, true, "unexpected channel-binding flag")]
    [InlineData("p", true, true, "unexpected channel-binding flag")]
    [InlineData(",,n=,r=abc", true, true, "unexpected channel-binding flag")]
    [InlineData("n,,n=,r=abc", false, true, "")] // Who cannot bind gets in, as in PostgreSQL.
    public void TheFirstMessage(string message, bool isPlus, bool isTls, string problem)
    {
        var server = new ScramServer(RfcVerifier, isTls ? s_seen : null);
        Assert.Equal(problem.Length == 0, server.TryChallenge(Encoding.ASCII.GetBytes(message), out _, out string said, isPlus));
        Assert.Contains(problem, said, StringComparison.Ordinal);
    }

    private static string Exchange(ScramServer server, ScramClient client, bool isPlus)
    {
        if (!server.TryChallenge(client.ClientFirst, out byte[] challenge, out string problem, isPlus))
            return problem;
        Assert.True(client.TryReadChallenge(challenge, out problem), problem);
        byte[] final = client.BuildFinal(ScramKeys.Derive("pencil"u8, client.Salt, client.Iterations));
        return server.TryFinish(final, out byte[] answer, out problem) && client.TryVerifyServer(answer, out problem) ? "" : problem;
    }
}
