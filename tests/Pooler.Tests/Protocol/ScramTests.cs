using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;
using static Pooler.Tests.Protocol.ScramVector;

namespace Pooler.Tests.Protocol;

public sealed class ScramTests
{
    private static readonly string[] Messages = [ClientFirst, ServerFirst, FinalWithoutProof + ",p=" + Proof, ServerFinal];

    [Fact]
    public void ServerFollowsTheVectorOfRFC7677()
    {
        var server = new ScramServer(RfcVerifier, ServerNonce);
        Assert.True(server.TryChallenge(Bytes(ClientFirst), out byte[] challenge, out _));
        Assert.Equal(ServerFirst, Text(challenge));
        Assert.True(server.TryFinish(Bytes($"{FinalWithoutProof},p={Proof}"), out byte[] final, out string problem), problem);
        Assert.Equal(ServerFinal, Text(final));
        Assert.Equal(RfcKeys.ClientKey, server.Keys!.ClientKey);
        Assert.Equal(RfcKeys.ServerKey, server.Keys.ServerKey);
    }

    [Fact]
    public void BothSidesAgreeOnAnyPasswordSaltAndCount() =>
        Gen.Select(Gen.Byte.Array[0, 80], Gen.Byte.Array[1, 64], Gen.Int[1, 50]).Sample((password, salt, iterations) =>
        {
            ScramVerifier verifier = ScramVerifier.Derive(password, salt, iterations);
            Assert.True(ScramVerifier.TryParse(verifier.Format(), out ScramVerifier? stored));
            (ScramServer server, ScramClient client, string problem) = Exchange(stored, password);
            Assert.Equal("", problem);
            Assert.True(client.ServerVerified);

            // The keys the server learnt open the next server without the password.
            var next = new ScramServer(stored);
            var pass = new ScramClient();
            Assert.True(next.TryChallenge(pass.ClientFirst, out byte[] challenge, out _));
            Assert.True(pass.TryReadChallenge(challenge, out _));
            Assert.True(next.TryFinish(pass.BuildFinal(server.Keys!), out byte[] final, out _));
            Assert.True(pass.TryVerifyServer(final, out _));
        }, iter: 200);

    [Fact]
    public void WrongPasswordFailsAndYieldsNoKeys()
    {
        (ScramServer server, ScramClient client, string problem) = Exchange(RfcVerifier, "Pencil"u8);
        Assert.Equal("the SCRAM proof does not match the stored verifier", problem);
        Assert.Null(server.Keys);
        Assert.False(client.ServerVerified);
    }

    [Fact]
    public void UnknownUserGetsStableSaltAndTheSameRefusal()
    {
        ScramVerifier first = ScramVerifier.Mock("seed"u8, "nobody");
        ScramVerifier again = ScramVerifier.Mock("seed"u8, "nobody");
        Assert.Equal(first.Salt, again.Salt);
        Assert.Equal(ScramVerifier.DefaultIterations, again.Iterations);
        Assert.Equal(ScramVerifier.DefaultSaltLength, again.Salt.Length);
        Assert.False(first.Salt.SequenceEqual(ScramVerifier.Mock("seed"u8, "nobody2").Salt));
        Assert.False(first.Salt.SequenceEqual(ScramVerifier.Mock("other"u8, "nobody").Salt));
        Assert.True(first.IsMock);
        Assert.False(first.Matches("x"u8));
        Assert.Equal(Exchange(RfcVerifier, "x"u8).Problem, Exchange(first, "x"u8).Problem);
    }

    [Fact]
    public void MockVerifierRefusesEvenARightProof()
    {
        var mock = new ScramVerifier(4096, RfcSalt, RfcVerifier.StoredKey, RfcVerifier.ServerKey, isMock: true);
        Assert.NotEqual("", Exchange(mock, "pencil"u8).Problem);
        Assert.False(mock.Matches("pencil"u8));
    }

    [Theory]
    [InlineData("")]
    [InlineData("n")]
    [InlineData("n,")]
    [InlineData("n,,")]
    [InlineData("n,,r=abc")]
    [InlineData("n,,r=abc,n=")]
    [InlineData("n,,n=")]
    [InlineData("n,,n=,")]
    [InlineData("n,,n=,r=")]
    [InlineData("n,,n=,r=a\u0001b")]
    [InlineData("n,,n=,r=a b")]
    [InlineData("n,,n=,r=é")]
    [InlineData("n,,n=,r=abc\0")]
    [InlineData("n,,n=,r=abc,")]
    [InlineData("n,,n=,r=abc,x")]
    [InlineData("n,,n=,r=abc,x=")]
    [InlineData("n,,n=,r=abc,m=ext")]
    [InlineData("n,,n=,r=abc,r=abc")]
    [InlineData("n,,m=ext,n=,r=abc")]
    [InlineData("n,a=admin,n=,r=abc")]
    [InlineData("n,x,n=,r=abc")]
    [InlineData("p=tls-server-end-point,,n=,r=abc")]
    [InlineData("x,,n=,r=abc")]
    [InlineData("yn,,n=,r=abc")]
    public void ServerRefusesABadClientFirst(string message)
    {
        var server = new ScramServer(RfcVerifier);
        Assert.False(server.TryChallenge(Bytes(message), out byte[] challenge, out string problem));
        Assert.Empty(challenge);
        Assert.NotEqual("", problem);
        Assert.False(server.TryChallenge(Bytes(ClientFirst), out _, out _));
    }

    [Fact]
    public void ServerRefusesAClientFirstLongerThanPostgreSQLTakes() =>
        Assert.False(new ScramServer(RfcVerifier).TryChallenge(Bytes("n,,n=,r=" + new string('a', 1024)), out _, out _));

    [Theory]
    [InlineData("c=biws,r=N,p=P", true)]
    [InlineData("c=biws,r=N,x=y,p=P", true)]
    [InlineData("", false)]
    [InlineData("r=N,c=biws,p=P", false)]
    [InlineData("c=eSws,r=N,p=P", false)]
    [InlineData("c=cD10bHMtdW5pcXVlLCw=,r=N,p=P", false)]
    [InlineData("c=,r=N,p=P", false)]
    [InlineData("c=biws,r=N", false)]
    [InlineData("c=biws,r=N,", false)]
    [InlineData("c=biws,r=Nx,p=P", false)]
    [InlineData("c=biws,r=,p=P", false)]
    [InlineData("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=P", false)]
    [InlineData("c=biws,p=P,r=N", false)]
    [InlineData("c=biws,r=N,m=ext,p=P", false)]
    [InlineData("c=biws,r=N,p=", false)]
    [InlineData("c=biws,r=N,p=AAAA", false)]
    [InlineData("c=biws,r=N,p=PP", false)]
    [InlineData("c=biws,r=N,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false)]
    [InlineData("c=biws,r=N,p= P", false)]
    [InlineData("c=biws,r=N,p=????", false)]
    [InlineData("c=biws,r=N,p=P,", false)]
    [InlineData("c=biws,r=N,p=P,x=y", false)]
    [InlineData("c=biws,r=N,p=P\0", false)]
    public void ServerTakesOnlyAWellFormedClientFinal(string message, bool good)
    {
        var server = new ScramServer(RfcVerifier, ServerNonce);
        Assert.True(server.TryChallenge(Bytes(ClientFirst), out _, out _));
        byte[] final = Bytes(message.Replace("N", "rOprNGfwEbeRWgbNEkqO" + ServerNonce).Replace("P", Proof));

        // An extension changes what is signed, so the vector's proof no longer fits; what matters is that it was understood.
        bool passed = server.TryFinish(final, out byte[] answer, out string problem);
        Assert.Equal(good && !message.Contains('x'), passed);
        Assert.Equal(good, !problem.Contains("malformed") && !problem.Contains("nonce") && !problem.Contains("unexpected"));
        Assert.Equal(passed, answer.Length > 0);
        Assert.Equal(passed, server.Keys is not null);
    }

    [Fact]
    public void ServerTakesNoMessageTwiceOrOutOfTurn()
    {
        var server = new ScramServer(RfcVerifier, ServerNonce);
        Assert.True(server.TryChallenge(Bytes(ClientFirst), out _, out _));
        byte[] final = Bytes($"{FinalWithoutProof},p={Proof}");
        Assert.True(server.TryFinish(final, out _, out _));
        Assert.False(server.TryFinish(final, out _, out string problem));
        Assert.Equal("unexpected SCRAM message", problem);
        Assert.False(new ScramServer(RfcVerifier).TryFinish(final, out _, out _));
    }

    [Fact]
    public void ClientThatCouldBindIsWelcomeButMustSaySoTwice()
    {
        foreach ((string binding, bool good) in new[] { ("eSws", true), ("biws", false) })
        {
            var server = new ScramServer(RfcVerifier, ServerNonce);
            Assert.True(server.TryChallenge(Bytes("y,,n=,r=abc"), out _, out _));
            Assert.False(server.TryFinish(Bytes($"c={binding},r=abc{ServerNonce},p={Proof}"), out _, out string problem));
            Assert.Equal(good, problem.StartsWith("the SCRAM proof", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void RandomMessagesNeverThrow()
    {
        Gen<byte[]> rough = Gen.OneOf(
            Gen.Byte.Array[0, 200],
            Gen.Int[0, 3].Select(i => Messages[i]).SelectMany(text =>
                Gen.Select(Gen.Int[0, text.Length - 1], Gen.Byte, (at, b) =>
                {
                    byte[] bytes = Bytes(text);
                    bytes[at] = b;
                    return bytes;
                })));
        rough.Sample(message =>
        {
            var server = new ScramServer(RfcVerifier, ServerNonce);
            server.TryChallenge(message, out _, out _);
            server = new ScramServer(RfcVerifier, ServerNonce);
            server.TryChallenge(Bytes(ClientFirst), out _, out _);
            bool unchanged = message.AsSpan().SequenceEqual(Bytes($"{FinalWithoutProof},p={Proof}"));
            if (server.TryFinish(message, out _, out _) && !unchanged)
                Assert.Equal(Convert.FromBase64String(Proof), Convert.FromBase64String(Text(message)[^44..]));
            var client = new ScramClient("rOprNGfwEbeRWgbNEkqO", "user");
            client.TryReadChallenge(message, out _);
            client = new ScramClient("rOprNGfwEbeRWgbNEkqO", "user");
            client.TryReadChallenge(Bytes(ServerFirst), out _);
            client.BuildFinal(RfcKeys);
            client.TryVerifyServer(message, out _);
        }, iter: 5000);
    }

    private static (ScramServer Server, ScramClient Client, string Problem) Exchange(ScramVerifier verifier, ReadOnlySpan<byte> password)
    {
        var server = new ScramServer(verifier);
        var client = new ScramClient();
        Assert.True(server.TryChallenge(client.ClientFirst, out byte[] challenge, out string problem), problem);
        Assert.True(client.TryReadChallenge(challenge, out problem), problem);
        byte[] final = client.BuildFinal(ScramKeys.Derive(password, client.Salt, client.Iterations));
        if (server.TryFinish(final, out byte[] answer, out problem))
            Assert.True(client.TryVerifyServer(answer, out problem), problem);
        return (server, client, problem);
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static string Text(byte[] bytes) => Encoding.UTF8.GetString(bytes);
}
