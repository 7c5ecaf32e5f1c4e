using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class PasswordTests
{
    private const string Key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    [Fact]
    public void Md5HashIsPostgreSQLs()
    {
        // select 'md5' || md5('secret' || 'bob'), then the answer to the salt 01 02 03 04.
        string hash = Md5Password.Hash("secret"u8, "bob"u8);
        Assert.Equal("md521f3163f8f86fa10bdefbfbd502a8f06", hash);
        Assert.Equal("md5f21dfe33ff3a9e03dbc3e008251fe5cc", Md5Password.Respond(hash, [1, 2, 3, 4]));
    }

    [Fact]
    public void Md5AnswerIsCheckedWhole()
    {
        string hash = Md5Password.Hash("secret"u8, "bob"u8);
        byte[] answer = Encoding.ASCII.GetBytes(Md5Password.Respond(hash, [1, 2, 3, 4]));
        Assert.True(Md5Password.Verify(hash, [1, 2, 3, 4], answer));
        Assert.False(Md5Password.Verify(hash, [1, 2, 3, 5], answer));
        Assert.False(Md5Password.Verify(hash, [1, 2, 3, 4], answer.AsSpan(0, 34)));
        Assert.False(Md5Password.Verify(hash, [1, 2, 3, 4], []));
        Assert.False(Md5Password.Verify(hash, [1, 2, 3, 4], Encoding.ASCII.GetBytes(hash)));
        Assert.True(Md5Password.VerifyPassword(hash, "secret"u8, "bob"u8));
        Assert.False(Md5Password.VerifyPassword(hash, "secret"u8, "eve"u8));
    }

    [Theory]
    [InlineData("md5acbd18db4cc2f85cedef654fccc4a4d8", true)]
    [InlineData("md5ACBD18DB4CC2F85CEDEF654FCCC4A4D8", false)]
    [InlineData("md5acbd18db4cc2f85cedef654fccc4a4d", false)]
    [InlineData("md5acbd18db4cc2f85cedef654fccc4a4d8a", false)]
    [InlineData("", false)]
    public void Md5HashIsToldFromAPassword(string secret, bool expected) => Assert.Equal(expected, Md5Password.IsHash(secret));

    [Theory]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$" + Key + ":" + Key, true)]
    [InlineData("SCRAM-SHA-256$1:AA==$" + Key + ":" + Key, true)]
    [InlineData("SCRAM-SHA-256$2147483647:AA==$" + Key + ":" + Key, true)]
    [InlineData("SCRAM-SHA-256$2147483648:AA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$0:AA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$-1:AA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$:AA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$4096:$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$4096:c2Fs dA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$" + Key, false)]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$AAAA:" + Key, false)]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$" + Key + ":AAAA", false)]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$" + Key + ":" + Key + ":", false)]
    [InlineData("SCRAM-SHA-256$4096:c2FsdA==$" + Key + ":" + Key + "$", false)]
    [InlineData("SCRAM-SHA-512$4096:c2FsdA==$" + Key + ":" + Key, false)]
    [InlineData("scram-sha-256$4096:c2FsdA==$" + Key + ":" + Key, false)]
    [InlineData("SCRAM-SHA-256", false)]
    [InlineData("", false)]
    public void VerifierTextIsReadStrictly(string text, bool good)
    {
        Assert.Equal(good, ScramVerifier.TryParse(text, out ScramVerifier? verifier));
        if (good)
            Assert.Equal(text, verifier!.Format());
    }

    [Fact]
    public void VerifierMatchesItsPasswordAlone()
    {
        ScramVerifier verifier = ScramVerifier.Derive("pass"u8, "salt"u8, 10);
        Assert.True(verifier.Matches("pass"u8));
        Assert.False(verifier.Matches("Pass"u8));
        Assert.False(verifier.Matches(""u8));
    }

    [Fact]
    public void VerifierDoesNotShowItselfInALog() =>
        Assert.DoesNotContain("$", ScramVerifier.Derive("p"u8, "s"u8, 1).ToString());

    [Theory]
    [InlineData("secret\0", "", "secret")]
    [InlineData("\0", "empty password returned by client", "")]
    [InlineData("", "invalid password packet size", "")]
    [InlineData("secret", "invalid password packet size", "")]
    [InlineData("sec\0ret\0", "invalid password packet size", "")]
    public void PasswordMessageIsOneString(string body, string expected, string password)
    {
        bool parsed = PasswordMessage.TryParse(Encoding.UTF8.GetBytes(body), out ReadOnlySpan<byte> read, out string problem);
        Assert.Equal(expected.Length == 0, parsed);
        Assert.Equal(expected, problem);
        Assert.Equal(password, Encoding.UTF8.GetString(read));
    }

    [Fact]
    public void SaslInitialResponseIsRead()
    {
        byte[] body = Initial("SCRAM-SHA-256\0", 3, "n,,");
        Assert.True(SaslInitialResponse.TryParse(body, out SaslInitialResponse response, out string problem));
        Assert.Equal("", problem);
        Assert.Equal("SCRAM-SHA-256"u8, response.Mechanism);
        Assert.True(response.HasData);
        Assert.Equal("n,,"u8, response.Data);
        Assert.True(SaslInitialResponse.TryParse(Initial("X\0", -1, ""), out response, out _));
        Assert.False(response.HasData);
    }

    [Theory]
    [InlineData("SCRAM-SHA-256", 3, "n,,")]
    [InlineData("SCRAM-SHA-256\0", 4, "n,,")]
    [InlineData("SCRAM-SHA-256\0", 2, "n,,")]
    [InlineData("SCRAM-SHA-256\0", -1, "n,,")]
    [InlineData("SCRAM-SHA-256\0", -2, "")]
    [InlineData("SCRAM-SHA-256\0", int.MinValue, "n,,")]
    [InlineData("SCRAM-SHA-256\0", int.MaxValue, "n,,")]
    public void SaslInitialResponseOfAWrongLengthIsRefused(string mechanism, int length, string data)
    {
        byte[] body = mechanism.EndsWith('\0') ? Initial(mechanism, length, data) : Encoding.UTF8.GetBytes(mechanism + data);
        Assert.False(SaslInitialResponse.TryParse(body, out _, out string problem));
        Assert.Equal("invalid SASL initial response message", problem);
    }

    [Fact]
    public void AuthenticationRequestsAreRead()
    {
        Assert.True(AuthenticationRequest.TryParse(new byte[] { 0, 0, 0, 0 }, out AuthenticationRequest request));
        Assert.Equal(AuthenticationKind.Ok, request.Kind);
        Assert.True(AuthenticationRequest.TryParse(new byte[] { 0, 0, 0, 5, 1, 2, 3, 4 }, out request));
        Assert.True(request.Data.SequenceEqual((ReadOnlySpan<byte>)[1, 2, 3, 4]));
        Assert.True(AuthenticationRequest.TryParse(Sasl("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"u8), out request));
        Assert.True(request.Offers("SCRAM-SHA-256"u8));
        Assert.False(request.Offers("SCRAM-SHA-25"u8));
        Assert.False(request.Offers(""u8));
        Assert.False(AuthenticationRequest.TryParse(Sasl("SCRAM-SHA-256\0"u8), out _));
        Assert.False(AuthenticationRequest.TryParse([0, 0, 0, 10], out _));
        Assert.False(AuthenticationRequest.TryParse([0, 0, 0, 5, 1, 2, 3], out _));
        Assert.False(AuthenticationRequest.TryParse([0, 0, 0, 0, 1], out _));
        Assert.False(AuthenticationRequest.TryParse([0, 0, 0], out _));
    }

    [Fact]
    public void RandomBodiesNeverThrow() => Gen.Byte.Array[0, 100].Sample(body =>
    {
        _ = PasswordMessage.TryParse(body, out _, out _);
        _ = SaslInitialResponse.TryParse(body, out _, out _);
        if (AuthenticationRequest.TryParse(Sasl(body), out AuthenticationRequest request))
            request.Offers("SCRAM-SHA-256"u8);
        _ = ScramVerifier.TryParse(ScramServer.Mechanism + "$" + Encoding.Latin1.GetString(body), out _);
    });

    private static byte[] Sasl(ReadOnlySpan<byte> list) => [0, 0, 0, 10, .. list];

    private static byte[] Initial(string mechanism, int length, string data)
    {
        var word = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, length);
        return [.. Encoding.UTF8.GetBytes(mechanism), .. word, .. Encoding.UTF8.GetBytes(data)];
    }
}
