using System.Diagnostics;
using System.Buffers.Binary;
using Pooler.Pooling;
using Pooler.Session;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>The real login, sessions and pools: what a CancelRequest reaches, what it must not, and when its connection ends.</summary>
[Collection(IoThreads.Name)]
public sealed class CancelTests
{
    private static readonly byte[] Canceled = Wire.Error("canceling statement due to user request", sqlState: "57014");
    private static readonly byte[] CanceledAndReady = Wire.Join(Canceled, Wire.Ready('I'));
    private static readonly byte[] Startup = Wire.Startup("u", "db");

    [Fact]
    public void ItReachesTheServerAndItsConnectionEndsBehindThat()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Run(a, server, "slow");
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        rig.Turn();
        Assert.False(cancel.IsReadable);

        rig.Postgres.ReleaseCancels();
        Assert.Empty(cancel.ReceiveToEnd());
        server.Send(CanceledAndReady);
        a.Expect(CanceledAndReady);
        rig.WaitForIdleServer();
    }

    /// <summary>PostgreSQL has answered, but its cancel may still be on the way: it would hit the next client's query.</summary>
    [Fact]
    public void NobodyGetsTheServerBeforeTheCancelHasEnded()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next(), b = rig.Client();
        Run(a, server, "slow");
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Answer("just in time"));
        a.Expect(Wire.Answer("just in time"));
        rig.Turn();
        Assert.Equal(0, server.Available);
        rig.WaitFor(static p => p.Waiting == 1, "b still waits");

        rig.Postgres.ReleaseCancels();
        server.Expect(Wire.Query("b"));
        Assert.Empty(cancel.ReceiveToEnd());
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        rig.WaitForIdleServer();
    }

    /// <summary>It was sent and never confirmed: it may hit at any time, so the server goes.</summary>
    [Fact]
    public void AServerWhoseCancelIsNotConfirmedIsClosed()
    {
        using var rig = new PoolerRig("cancel_wait_timeout = 0.2");
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next(), b = rig.Client();
        Run(a, server, "slow");
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        Assert.Equal(Wire.Terminate, server.ReceiveToEnd());
        Assert.Empty(cancel.ReceiveToEnd());

        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Query("b"));
        second.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        rig.WaitForIdleServer();
    }

    /// <summary>A client that leaves hands its cancel on to the clean-up, whose statements it must not hit either.</summary>
    [Fact]
    public void TheCleanUpWaitsForTheCancel()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        Run(a, server, "slow");
        rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Canceled, Wire.Ready('E')));
        a.Expect(Wire.Join(Canceled, Wire.Ready('E')));
        a.Dispose();
        rig.Turn();
        Assert.Equal(0, server.Available);

        rig.Postgres.ReleaseCancels();
        server.Expect(Wire.Query("ROLLBACK"));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        rig.WaitForIdleServer();
    }

    /// <summary>Were the BEGIN of a client that leaves hit, what it sent behind it would commit by itself.</summary>
    [Fact]
    public void ACleanUpDoesNotCancelWhatMayBeABegin()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Join(Wire.Query("begin"), Wire.Query("insert")));
        server.Expect(Wire.Join(Wire.Query("begin"), Wire.Query("insert")));
        a.Dispose();
        long left = Stopwatch.GetTimestamp();
        rig.WaitFor(static p => p.Slots.Single().State == SlotState.Housekeeping, "the clean-up");
        int cancels = rig.On(() => rig.Pool.Slots.Single().Server.CancelsInFlight + rig.Postgres.Cancels);
        Assert.SkipWhen(Stopwatch.GetElapsedTime(left).TotalMilliseconds > 40, "the machine is too slow to look before the cancel that comes after 50 ms");
        Assert.Equal(0, cancels);
        server.Send(Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T'), Wire.Complete("INSERT 0 1"), Wire.Ready('T')));
        server.Expect(Wire.Query("ROLLBACK"));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        rig.WaitForIdleServer();
        Assert.SkipWhen(Stopwatch.GetElapsedTime(left).TotalMilliseconds > 40, "the machine is too slow to answer before the cancel that comes after 50 ms");
        Assert.Equal(0, rig.Postgres.Cancels);

        // Two that take long are cancelled all the same.
        RawPeer b = rig.Client();
        b.Send(Wire.Join(Wire.Query("slow"), Wire.Query("slow")));
        server.Expect(Wire.Join(Wire.Query("slow"), Wire.Query("slow")));
        b.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(CanceledAndReady, Wire.Answer("second")));
        rig.WaitForIdleServer();
    }

    [Fact]
    public void TheNextRequestOfTheSameClientIsHeldBackMeanwhile()
    {
        using var rig = new PoolerRig("pool_mode = session");
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Run(a, server, "slow");
        rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        a.Send(Wire.Query("next"));
        rig.Turn();
        Assert.Equal(0, server.Available);

        rig.Postgres.ReleaseCancels();
        server.Expect(Wire.Query("next"));
        server.Send(Wire.Answer("next"));
        a.Expect(Wire.Answer("next"));
    }

    /// <summary>Of a pipeline the first request is cancelled too late: the second cannot be taken back, a third need not be hit.</summary>
    [Fact]
    public void WhatAPipelineGoesOnWithIsHeldBackToo()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        a.Send(Wire.Join(Wire.Query("first"), Wire.Query("second")));
        server.Expect(Wire.Join(Wire.Query("first"), Wire.Query("second")));
        rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Answer("first"));
        a.Expect(Wire.Answer("first"));
        a.Send(Wire.Query("third"));
        rig.Turn();
        Assert.Equal(0, server.Available);

        rig.Postgres.ReleaseCancels();
        server.Expect(Wire.Query("third"));
        server.Send(Wire.Join(CanceledAndReady, Wire.Answer("third")));
        a.Expect(Wire.Join(CanceledAndReady, Wire.Answer("third")));
        rig.WaitForIdleServer();
    }

    [Fact]
    public void AnIdleClientHasNothingToCancel()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        LeaseTests.Exchange(a, server, "one", Wire.Answer("one"));
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        Assert.Equal(0, rig.Postgres.Cancels);
    }

    /// <summary>The cancel was on its way between two threads while its request was answered and the next one began.</summary>
    [Fact]
    public void ACancelOfAnAnsweredRequestDoesNothing()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(Startup, out _), server = rig.Postgres.Next();
        Run(a, server, "first");
        int number = rig.On(() => rig.Sessions.OfCurrentThread().Single().RequestNumber);
        server.Send(Wire.Answer("first"));
        a.Expect(Wire.Answer("first"));
        Run(a, server, "second");
        RawPeer canceller = rig.Client();
        rig.On(() =>
        {
            ClientSession session = rig.Sessions.OfCurrentThread().First(static s => s.AwaitsReplies);
            session.Cancel(number, new CancelRequest(session.Client));
            return true;
        });
        rig.Turn();
        Assert.Equal(0, rig.Postgres.Cancels);
        server.Send(Wire.Answer("second"));
        a.Expect(Wire.Answer("second"));
        Assert.Equal(0, canceller.Available);
    }

    [Fact]
    public void AWaitingClientIsAnsweredAndGoesOn()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(Startup, out byte[] key);
        Run(a, server, "slow");
        b.Send(Wire.Join(Wire.Query("never"), Wire.Query("second")));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        b.ExpectError("57014", "canceling statement due to user request"); // Ours.
        b.Expect(Wire.Ready('I'));
        rig.WaitFor(static p => p.Waiting == 1, "b waits with its second request");

        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        server.Expect(Wire.Query("second"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        rig.WaitForIdleServer();
        Assert.Equal(0, rig.Postgres.Cancels);
    }

    /// <summary>As in PostgreSQL: of a batch everything up to the Sync goes with the error.</summary>
    [Fact]
    public void AWaitingBatchIsDroppedUpToItsSync()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(Startup, out byte[] key);
        Run(a, server, "slow");
        b.Send(Wire.Join(Wire.Parse("never"), Wire.Bind(), Wire.Flush));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        b.ExpectError("57014", "canceling statement due to user request"); // Ours.

        byte[] rest = Wire.Join(Wire.Execute(), Wire.Query("skipped"), Wire.Parse(new string('x', 100_000)), Wire.Sync, Wire.Query("after"));
        b.Send(rest.AsSpan(0, 7));
        rig.Turn();
        Assert.Equal(0, b.Available);
        b.Send(rest.AsSpan(7));
        b.Expect(Wire.Ready('I'));
        rig.WaitFor(static p => p.Waiting == 1, "b waits again");
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        server.Expect(Wire.Query("after"));
        server.Send(Wire.Answer("after"));
        b.Expect(Wire.Answer("after"));
        rig.WaitForIdleServer();
    }

    /// <summary>The rest of a long Query is still coming when it is cancelled.</summary>
    [Fact]
    public void ALongWaitingQueryIsDroppedToItsEnd()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(Startup, out byte[] key);
        Run(a, server, "slow");
        byte[] query = Wire.Query(new string('x', 100_000));
        b.Send(query.AsSpan(0, 20_000));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        b.ExpectError("57014", "canceling statement due to user request"); // Ours.
        b.Expect(Wire.Ready('I'));
        b.Send(query.AsSpan(20_000));
        b.Send(Wire.Query("after"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits again");
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        server.Expect(Wire.Query("after"));
    }

    /// <summary>A cancel that hit our SET would end the session: nothing of the request was sent, so we answer it.</summary>
    [Fact]
    public void ARequestBehindOurOwnSetIsNeverSent()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(WithTimeZone("Asia/Tokyo"), out byte[] key), server = rig.Postgres.Next();
        a.Send(Wire.Query("never"));
        Assert.StartsWith("SET ", Wire.ReadText(server.ReceiveFrame().AsSpan(5)), StringComparison.Ordinal);
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        rig.Turn();
        Assert.Equal(0, rig.Postgres.Cancels);
        server.Send(Wire.Join(Wire.Parameter("TimeZone", "Asia/Tokyo"), Wire.Complete("SET"), Wire.Ready('I')));
        a.ExpectError("57014", "canceling statement due to user request"); // Ours.
        a.Expect(Wire.Ready('I'));
        Assert.Empty(cancel.ReceiveToEnd());
        Assert.Equal(0, rig.Postgres.Cancels);
        rig.WaitForIdleServer();
        LeaseTests.Exchange(a, server, "after", Wire.Answer("after"));
    }

    /// <summary>Its server goes away under it: on another it would run uncancelled.</summary>
    [Fact]
    public void ACancelledRequestIsNotTriedAgain()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Run(a, server, "select 1");
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Error("terminating connection", "FATAL", "57P01"));
        a.ExpectError("57014", "canceling statement due to user request"); // Ours.
        a.Expect(Wire.Ready('I'));
        rig.Postgres.ReleaseCancels();
        Assert.Empty(cancel.ReceiveToEnd());
        a.Send(Wire.Query("after"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Query("after"));
        second.Send(Wire.Answer("after"));
        a.Expect(Wire.Answer("after"));
        rig.WaitForIdleServer();
    }

    /// <summary>Protocol 3.2: 32 bytes with a seal; neither part of it nor its front alone opens anything.</summary>
    [Fact]
    public void ALongKeyIsTakenAsAWhole()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(Wire.Startup("u", "db", minor: 2), out byte[] key), server = rig.Postgres.Next();
        Assert.Equal(4 + CancelKeys.LongSecret, key.Length);
        Run(a, server, "slow");
        List<byte[]> wrong = [key[..8], key[..35], [.. key, 0]];
        for (int i = 0; i < key.Length; i++)
        {
            byte[] changed = [.. key];
            changed[i] ^= 1;
            wrong.Add(changed);
        }

        Assert.All(wrong, other => Assert.Empty(rig.Connect(Wire.Cancel(other)).ReceiveToEnd()));
        Assert.Equal(0, rig.Postgres.Cancels);
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        Assert.Equal(1, rig.Postgres.Cancels);
    }

    [Fact]
    public void AShortKeyIsTakenAsAWhole()
    {
        using var rig = new PoolerRig();
        rig.Sessions.Keys.Node = 16383;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Assert.Equal(8, key.Length);
        Assert.Equal(16383, CancelKeys.PeerOf(BinaryPrimitives.ReadInt32BigEndian(key)));
        Assert.Equal([0xFF, 0x3F], key[1..3]); // As PgBouncer has it, low byte first.
        Assert.Equal(3, key[7] & 3);
        Run(a, server, "slow");
        foreach (int bit in Enumerable.Range(0, 64).Except([56, 57]))
        {
            byte[] changed = [.. key];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Empty(rig.Connect(Wire.Cancel(changed)).ReceiveToEnd());
        }

        byte[] truncated = [0, 0, 0, 15, .. Wire.Cancel(key).AsSpan(4, 11)];
        Assert.Empty(rig.Connect(truncated).ReceiveToEnd());
        Assert.Equal(0, rig.Postgres.Cancels);
        Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
        Assert.Equal(1, rig.Postgres.Cancels);
    }

    /// <summary>The last two bits of the eighth byte say how often a key may be passed on; peers count them down.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void AKeyThatPeersHavePassedOnIsTheSame(int minor)
    {
        using var rig = new PoolerRig();
        rig.Sessions.Keys.Node = 1;
        RawPeer a = rig.Client(Wire.Startup("u", "db", minor), out byte[] key), server = rig.Postgres.Next();
        Run(a, server, "slow");
        byte first = (byte)(key[7] & ~3);
        for (int cancels = 0; cancels <= 3; cancels++)
        {
            key[7] = (byte)(first | (3 - cancels));
            Assert.Empty(rig.Connect(Wire.Cancel(key)).ReceiveToEnd());
            Assert.Equal(cancels + 1, rig.Postgres.Cancels);
        }

        key[7] |= 3;
        byte[]? passed = key[4..];
        for (int hop = 3; hop > 0; hop--)
        {
            Assert.Equal(hop, passed![3] & 3);
            passed = CancelKeys.PassedOn(passed);
        }

        Assert.Null(CancelKeys.PassedOn(passed));
    }

    /// <summary>A driver may ask again while the first request is under way; more than a few are not kept waiting.</summary>
    [Fact]
    public void ManyCancelsAtOnceAreOneOrTwo()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Run(a, server, "slow");
        RawPeer[] cancels = [.. Enumerable.Range(0, 40).Select(_ => rig.Connect(Wire.Cancel(key)))];
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the first cancel");
        PoolerRig.WaitUntil(() => cancels.Count(static c => c.IsReadable) == 24, "those that are not kept");
        rig.Postgres.ReleaseCancels();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 2, "the second cancel");
        rig.Postgres.ReleaseCancels();
        Assert.All(cancels, static c => Assert.Empty(c.ReceiveToEnd()));
        Assert.Equal(2, rig.Postgres.Cancels);
        server.Send(CanceledAndReady);
        a.Expect(CanceledAndReady);
        rig.WaitForIdleServer();
    }

    private static void Run(RawPeer client, RawPeer server, string query)
    {
        client.Send(Wire.Query(query));
        server.Expect(Wire.Query(query));
    }

    private static byte[] WithTimeZone(string zone)
    {
        byte[] body = [0, 3, 0, 0, .. System.Text.Encoding.ASCII.GetBytes($"user\0u\0database\0db\0TimeZone\0{zone}\0\0")];
        byte[] packet = [0, 0, 0, (byte)(body.Length + 4), .. body];
        return packet;
    }
}
