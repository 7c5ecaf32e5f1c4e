using System.Text;
using Pooler.Protocol;
using Xunit;
using static Pooler.Tests.Protocol.ScramVector;

namespace Pooler.Tests.Protocol;

public sealed class ScramClientTests
{
    [Fact]
    public void ClientFollowsTheVectorOfRFC7677()
    {
        var client = new ScramClient("rOprNGfwEbeRWgbNEkqO", "user");
        Assert.Equal(ClientFirst, Text(client.ClientFirst));
        Assert.True(client.TryReadChallenge(Bytes(ServerFirst), out _));
        Assert.Equal(4096, client.Iterations);
        Assert.Equal(RfcSalt, client.Salt);
        Assert.Equal($"{FinalWithoutProof},p={Proof}", Text(client.BuildFinal(RfcKeys)));
        Assert.False(client.ServerVerified);
        Assert.True(client.TryVerifyServer(Bytes(ServerFinal), out _));
        Assert.True(client.ServerVerified);
    }

    [Theory]
    [InlineData("r=abcX,s=c2FsdA==,i=4096", true)]
    [InlineData("r=abcX,s=c2FsdA==,i=2147483647", true)]
    [InlineData("r=abcX,s=AA==,i=1,x=y", true)]
    [InlineData("", false)]
    [InlineData("r=abc,s=c2FsdA==,i=4096", false)]
    [InlineData("r=abX,s=c2FsdA==,i=4096", false)]
    [InlineData("r=Xabc,s=c2FsdA==,i=4096", false)]
    [InlineData("r=,s=c2FsdA==,i=4096", false)]
    [InlineData("r=abc\u007f,s=c2FsdA==,i=4096", false)]
    [InlineData("s=c2FsdA==,r=abcX,i=4096", false)]
    [InlineData("r=abcX,i=4096,s=c2FsdA==", false)]
    [InlineData("r=abcX,s=,i=4096", false)]
    [InlineData("r=abcX,s=c2Fs dA==,i=4096", false)]
    [InlineData("r=abcX,s=c2FsdA,i=4096", false)]
    [InlineData("r=abcX,s=!!!!,i=4096", false)]
    [InlineData("r=abcX,s=c2FsdA==", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=0", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=-1", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=+1", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=04096", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=4096x", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=2147483648", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=99999999999999999999", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=4096,", false)]
    [InlineData("r=abcX,s=c2FsdA==,i=4096,m=ext", false)]
    [InlineData("m=ext,r=abcX,s=c2FsdA==,i=4096", false)]
    public void ClientTakesOnlyAWellFormedChallenge(string message, bool good)
    {
        var client = new ScramClient("abc", "");
        Assert.Equal(good, client.TryReadChallenge(Bytes(message), out string problem));
        Assert.Equal(good, problem.Length == 0);
        if (!good)
            Assert.Throws<InvalidOperationException>(() => client.BuildFinal(RfcKeys));
    }

    [Theory]
    [InlineData(455)]
    [InlineData(456)]
    [InlineData(499)]
    [InlineData(2000)]
    [InlineData(4096)]
    [InlineData(100_000)]
    public void ClientBearsALongServerNonce(int length)
    {
        var client = new ScramClient("abc", "");
        bool read = client.TryReadChallenge(Bytes($"r=abc{new string('n', length)},s=c2FsdA==,i=1"), out _);
        Assert.Equal(length < 4000, read);
        if (read)
            Assert.Contains(new string('n', length), Text(client.BuildFinal(RfcKeys)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("v=")]
    [InlineData("v=AAAA")]
    [InlineData("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    [InlineData(ServerFinal + ",x=y")]
    [InlineData(ServerFinal + ",")]
    [InlineData("e=other-error")]
    [InlineData("x=" + Proof)]
    public void ClientRefusesAServerThatDoesNotProveItself(string message)
    {
        var client = new ScramClient("rOprNGfwEbeRWgbNEkqO", "user");
        Assert.True(client.TryReadChallenge(Bytes(ServerFirst), out _));
        client.BuildFinal(RfcKeys);
        Assert.False(client.TryVerifyServer(Bytes(message), out string problem));
        Assert.NotEqual("", problem);
        Assert.False(client.TryVerifyServer(Bytes(ServerFinal), out _));
        Assert.False(client.ServerVerified);
    }

    [Fact]
    public void ClientRefusesASignatureBeforeItGaveItsProof()
    {
        var client = new ScramClient();
        Assert.False(client.TryVerifyServer(Bytes(ServerFinal), out _));
        Assert.False(client.ServerVerified);
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static string Text(byte[] bytes) => Encoding.UTF8.GetString(bytes);
}
