using Xunit;

namespace Pooler.Tests.Session;

/// <summary>What is half-way when something else happens.</summary>
[Collection(IoThreads.Name)]
public sealed class HalfWayEndTests
{
    /// <summary>The client must not take our words for the rest of its row.</summary>
    [Fact]
    public void AServerThatDiesWithinAMessageLeavesNothingBehindIt()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        byte[] half = Wire.Row(new string('x', 1000))[..950];
        server.Send(half);
        a.Expect(half);
        server.Dispose();
        Assert.Empty(a.ReceiveToEnd());
    }

    /// <summary>The COPY fails while half of a message is on its way: when the other half is through, the server is free.</summary>
    [Fact]
    public void AServerIsFreeWhenTheClientHasCompletedItsMessage()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("copy t from stdin"));
        server.Expect(Wire.Query("copy t from stdin"));
        server.Send(Wire.Frame('G', 0, 0, 0));
        a.Expect(Wire.Frame('G', 0, 0, 0));
        byte[] data = Wire.CopyData(new string('x', 100));
        a.Send(data.AsSpan(0, 50));
        server.Expect(data.AsSpan(0, 50));
        byte[] failed = Wire.Join(Wire.Error("no room"), Wire.Ready('I'));
        server.Send(failed);
        a.Expect(failed);
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Send(data.AsSpan(50));
        server.Expect(data.AsSpan(50));
        rig.WaitFor(static p => p.Waiting == 0, "b has its server");
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    /// <summary>As before, but the COPY fails while the server reads nothing: what is still to be sent to it comes first.</summary>
    [Fact]
    public void AServerIsFreeWhenItHasTakenEverything()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("copy t from stdin"));
        server.Expect(Wire.Query("copy t from stdin"));
        server.Send(Wire.Frame('G', 0, 0, 0));
        a.Expect(Wire.Frame('G', 0, 0, 0));
        byte[] data = Wire.CopyData(new string('x', 10_000_000));
        var sender = new Thread(() => a.Send(data));
        sender.Start();
        rig.WaitFor(_ => rig.Sessions.Clients == 2 && server.Available > 100_000, "the server's buffers are full");
        byte[] failed = Wire.Join(Wire.Error("no room"), Wire.Ready('I'));
        server.Send(failed);
        a.Expect(failed);
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        server.Expect(data);
        sender.Join();
        rig.WaitFor(static p => p.Waiting == 0, "b has its server");
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }
}
