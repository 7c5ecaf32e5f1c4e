using Xunit;

namespace Pooler.Tests.Session;

/// <summary>What is half-way when something else happens.</summary>
[Collection(IoThreads.Name)]
public sealed class HalfWayTests
{
    /// <summary>The server says ReadyForQuery, is granted on, and dies; the client it was granted to hangs up. All in one batch.</summary>
    [Fact]
    public void AServerThatDiedWhileGrantedToALeaverIsLentToNobody()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client();
        for (int i = 0; i < 30; i++)
        {
            RawPeer b = rig.Client();
            a.Send(Wire.Query("a"));
            RawPeer server = rig.Postgres.Next();
            server.Expect(Wire.Query("a"));
            b.Send(Wire.Query("b"));
            rig.WaitFor(static p => p.Waiting == 1, "b waits");
            using (rig.Hold())
            {
                server.Send(Wire.Answer("a"));
                server.Dispose();
                b.Dispose();
            }

            a.Expect(Wire.Answer("a"));
            rig.Turn();
            rig.WaitFor(static p => p.Waiting == 0 && p.Opening == 0, "nobody waits");
            rig.WaitFor(static p => p.Idle.All(l => l.Newest == null || p.Slots.Contains(l.Newest)), "no server that is gone is idle");
        }
    }

    /// <summary>The clean-up's deadline and the cancel's are the same: when both pass at once the server goes to nobody.</summary>
    [Fact]
    public void ACancelThatEndsWithTheDeadlineFreesNothing()
    {
        using var rig = new PoolerRig("server_cleanup_timeout = 0.1");
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("slow"));
        server.Expect(Wire.Query("slow"));
        a.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Wire.Error("canceling statement", sqlState: "57014"), Wire.Ready('I')));
        Assert.Empty(server.ReceiveToEnd());
        rig.WaitFor(static p => p.Slots.Count == 0 && p.IdleCount == 0, "the server is gone");
    }

    [Fact]
    public void AServerLifetimeOfZeroStillServesOnce()
    {
        using var rig = new PoolerRig("server_lifetime = 0");
        RawPeer a = rig.Client();
        a.Send(Wire.Query("a"));
        byte[] first = rig.Postgres.Next().ReceiveFrame();
        Assert.Equal(Wire.Query("a"), first[0] == 'X' ? rig.Postgres.Next().ReceiveFrame() : first);
    }

    /// <summary>A granted waiter leaves (its timeout came first) when the server it was granted has just died.</summary>
    [Fact]
    public void AServerThatIsGoneDoesNotComeBack()
    {
        using var rig = new PoolerRig();
        rig.Client();
        rig.Postgres.Next();
        rig.WaitForIdleServer();
        Pooler.Pooling.ServerSlot slot = rig.On(() => rig.Pools.Acquire(rig.Pool, new Bystander(), rig.Threads[0]))!;
        rig.On(() =>
        {
            slot.Server.Close("died");
            return true;
        });
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
        rig.On(() =>
        {
            slot.TakeBack();
            return true;
        });
        Assert.Equal(0, rig.On(() => rig.Pool.IdleCount));
    }

    private sealed class Bystander : Pooler.Pooling.Waiter
    {
        internal override void Wake()
        {
        }
    }
}
