using Xunit;

namespace Pooler.Tests.Session;

/// <summary>The real session and pools, one server: what each side receives when clients and server leave, wait and fail.</summary>
[Collection(IoThreads.Name)]
public sealed class LeaseTests
{
    private static readonly byte[] CheckedReset = Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I'));

    [Fact]
    public void TwoClientsTakeTurns()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        for (int i = 0; i < 3; i++)
        {
            a.Send(Wire.Query($"a{i}"));
            server.Expect(Wire.Query($"a{i}"));
            b.Send(Wire.Query($"b{i}"));
            rig.WaitFor(static p => p.Waiting == 1, "b waits");
            server.Send(Wire.Answer($"a{i}"));
            a.Expect(Wire.Answer($"a{i}"));
            server.Expect(Wire.Query($"b{i}"));
            server.Send(Wire.Answer($"b{i}"));
            b.Expect(Wire.Answer($"b{i}"));
        }

        rig.WaitForIdleServer();
        Assert.Equal(0, rig.On(() => rig.Rented));
    }

    [Fact]
    public void ATransactionKeepsItsServer()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        Exchange(a, server, "x", Wire.Join(Wire.Error("no"), Wire.Ready('E')));
        Assert.Equal(0, server.Available);
        Exchange(a, server, "rollback", Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void AClientThatLeavesInATransactionIsRolledBack()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Dispose();
        server.Expect(Wire.Query("ROLLBACK"));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void AClientThatLeavesARunningQueryHasItCancelled()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("slow"));
        server.Expect(Wire.Query("slow"));
        server.Send(Wire.RowDescription("v"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Wire.Row("for a"), Wire.Error("canceling statement", sqlState: "57014"), Wire.Ready('I')));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        rig.WaitForIdleServer();
    }

    /// <summary>The cancel's connection has not ended: it may still hit whatever runs next.</summary>
    [Fact]
    public void NobodyGetsAServerWhileACancelIsUnderWay()
    {
        using var rig = new PoolerRig("server_cleanup_timeout = 0.2");
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("slow"));
        server.Expect(Wire.Query("slow"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Wire.Error("canceling statement", sqlState: "57014"), Wire.Ready('I')));
        Assert.Empty(server.ReceiveToEnd());

        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Query("b"));
        second.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        rig.WaitForIdleServer();
    }

    [Fact]
    public void AnOpenBatchIsRolledBackAndSyncedForAClientThatLeaves()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        byte[] batch = Wire.Join(Wire.Parse("a"), Wire.Bind(), Wire.Execute(), Wire.Flush);
        a.Send(batch);
        server.Expect(batch);
        server.Send(Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Complete("SELECT 0")));
        a.Expect(Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Complete("SELECT 0")));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Dispose();
        server.Expect(Wire.Join(Wire.Query("ROLLBACK"), Wire.Sync));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I'), Wire.Ready('I')));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void ACopyIsFailedForAClientThatLeaves()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("copy t from stdin"));
        server.Expect(Wire.Query("copy t from stdin"));
        server.Send(Wire.Frame('G', 0, 0, 0));
        a.Expect(Wire.Frame('G', 0, 0, 0));
        a.Send(Wire.CopyData("1\n"));
        server.Expect(Wire.CopyData("1\n"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Dispose();
        Assert.Equal((byte)'f', server.ReceiveFrame()[0]);
        server.Send(Wire.Join(Wire.Error("COPY from stdin failed"), Wire.Ready('I')));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void HalfAMessageCostsTheServer()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        byte[] query = Wire.Query(new string('x', 40_000));
        a.Send(query.AsSpan(0, 20_000));
        server.Expect(query.AsSpan(0, 16_384));
        a.Dispose();
        Assert.True(query.AsSpan(16_384, 20_000 - 16_384).StartsWith(server.ReceiveToEnd()));
        b.Send(Wire.Query("b"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Query("b"));
        second.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void TerminateBehindARequestLetsItRun()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Join(Wire.Query("a"), Wire.Terminate));
        server.Expect(Wire.Query("a"));
        Assert.Empty(a.ReceiveToEnd());
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        server.Send(Wire.Answer("a"));
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        Assert.Equal(0, rig.Postgres.Cancels);
    }

    [Fact]
    public void AWaitingClientThatLeavesIsForgotten()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(), c = rig.Client();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        c.Send(Wire.Query("c"));
        rig.WaitFor(static p => p.Waiting == 2, "c waits");
        b.Dispose();
        rig.WaitFor(static p => p.Waiting == 1, "b has left");
        server.Send(Wire.Answer("a"));
        server.Expect(Wire.Query("c"));
        server.Send(Wire.Answer("c"));
        c.Expect(Wire.Answer("c"));
    }

    /// <summary>The server that would be granted comes free in the very batch in which its waiter hangs up.</summary>
    [Fact]
    public void AGrantToAClientThatHasJustLeftGoesOn()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(), c = rig.Client();
        for (int i = 0; i < 20; i++)
        {
            a.Send(Wire.Query("a"));
            server.Expect(Wire.Query("a"));
            b.Send(Wire.Query("b"));
            rig.WaitFor(static p => p.Waiting == 1, "b waits");
            c.Send(Wire.Query("c"));
            rig.WaitFor(static p => p.Waiting == 2, "c waits");
            using (rig.Hold())
            {
                server.Send(Wire.Answer("a"));
                b.Dispose();
            }

            byte[] request = server.ReceiveFrame();
            if (request.AsSpan().SequenceEqual(Wire.Query("b")))
            {
                // The hang-up came a batch later: b's request ran for nobody.
                server.Send(Wire.Answer("b"));
                request = server.ReceiveFrame();
            }

            Assert.Equal(Wire.Query("c"), request);
            server.Send(Wire.Answer("c"));
            a.Expect(Wire.Answer("a"));
            c.Expect(Wire.Answer("c"));
            rig.WaitForIdleServer();
            b = rig.Client();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AServerThatDiesIdleIsReplaced(bool says)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Exchange(a, server, "a", Wire.Answer("a"));
        if (says)
        {
            server.Send(Wire.Error("terminating connection", "FATAL", "57P01"));
        }

        server.Dispose();
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
        a.Send(Wire.Query("b"));
        server = rig.Postgres.Next();
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        a.Expect(Wire.Answer("b"));
    }

    /// <summary>An idle server that speaks out of turn is closed: nothing of it reaches a client.</summary>
    [Theory]
    [InlineData('Z')]
    [InlineData('D')]
    [InlineData('C')]
    [InlineData('1')]
    public void WhatAnIdleServerSaysReachesNobody(char type)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        rig.WaitForIdleServer();
        server.Send(Wire.Frame(type, (byte)'I'));
        Assert.Equal((byte)'X', server.ReceiveToEnd() is [var first, ..] ? first : (byte)'X');
        a.Send(Wire.Query("a"));
        server = rig.Postgres.Next();
        server.Expect(Wire.Query("a"));
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
    }

    [Fact]
    public void AServerThatDiesUnderAQueryTellsItsClientAlone()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        server.Send(Wire.RowDescription("v"));
        server.Dispose();
        a.Expect(Wire.RowDescription("v"));
        byte[] end = a.ReceiveFrame();
        Assert.Equal((byte)'E', end[0]);
        Assert.Contains("08007", RawPeer.Show(end), StringComparison.Ordinal);
        Assert.Empty(a.ReceiveToEnd());
        server = rig.Postgres.Next();
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
        Assert.Equal(0, b.Available);
    }

    [Fact]
    public void AFatalErrorOfTheServerReachesItsClientAsItIs()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        byte[] fatal = Wire.Error("terminating connection due to transaction timeout", "FATAL", "25P04");
        server.Send(fatal);
        Assert.Equal(fatal, a.ReceiveToEnd());
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
    }

    [Fact]
    public void ADirtyServerIsResetForTheNextClient()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        byte[] answer = Wire.Join(Wire.Complete("SET"), Wire.Ready('I'));
        Exchange(a, server, "set x = 1", answer);
        b.Send(Wire.Query("b"));
        server.Expect(Wire.Query("DISCARD ALL"));
        server.Send(CheckedReset);
        server.Expect(Wire.Query("b"));
        server.Send(Wire.Answer("b"));
        b.Expect(Wire.Answer("b"));
    }

    [Fact]
    public void QueryTimeoutCancelsAndFreesTheServer()
    {
        using var rig = new PoolerRig("query_timeout = 0.05");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("slow"));
        server.Expect(Wire.Query("slow"));
        Assert.Contains("query timeout", RawPeer.Show(a.ReceiveToEnd()), StringComparison.Ordinal);
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Wire.Error("canceling statement", sqlState: "57014"), Wire.Ready('I')));
        rig.WaitForIdleServer();
        RawPeer b = rig.Client();
        Exchange(b, server, "b", Wire.Answer("b"));
    }

    [Fact]
    public void QueryWaitTimeoutEndsTheWaiterAlone()
    {
        using var rig = new PoolerRig("query_wait_timeout = 0.05");
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        b.Send(Wire.Query("b"));
        Assert.Contains("query_wait_timeout", RawPeer.Show(b.ReceiveToEnd()), StringComparison.Ordinal);
        server.Send(Wire.Answer("a"));
        a.Expect(Wire.Answer("a"));
        rig.WaitForIdleServer();
        Exchange(a, server, "again", Wire.Answer("again"));
    }

    [Fact]
    public void IdleTransactionTimeoutRollsBack()
    {
        using var rig = new PoolerRig("idle_transaction_timeout = 0.05");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        Assert.Contains("idle transaction timeout", RawPeer.Show(a.ReceiveToEnd()), StringComparison.Ordinal);
        server.Expect(Wire.Query("ROLLBACK"));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        rig.WaitForIdleServer();
    }

    [Fact]
    public void ACleanUpThatTakesTooLongCostsTheServer()
    {
        using var rig = new PoolerRig("server_cleanup_timeout = 0.05");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        a.Dispose();
        server.Expect(Wire.Query("ROLLBACK"));
        Assert.Empty(server.ReceiveToEnd());
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
    }

    [Fact]
    public void ALoneSyncAndStrayCopyFramesNeedNoServer()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Join(Wire.CopyData(new string('x', 30_000)), Wire.CopyDone, Wire.CopyFail("no"), Wire.Flush, Wire.Sync));
        a.Expect(Wire.Ready('I'));
        Assert.Equal(0, server.Available);
        Exchange(a, server, "a", Wire.Answer("a"));
    }

    /// <summary>Two I/O threads, one server: it moves to whoever waits, again and again.</summary>
    [Fact]
    public void AServerMovesBetweenThreads()
    {
        using var rig = new PoolerRig(threads: 2);
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        for (int i = 0; i < 200; i++)
        {
            Exchange(a, server, "a", Wire.Answer("a"));
            Exchange(b, server, "b", Wire.Answer("b"));
            a.Send(Wire.Query("a"));
            server.Expect(Wire.Query("a"));
            b.Send(Wire.Query("b"));
            server.Send(Wire.Answer("a"));
            a.Expect(Wire.Answer("a"));
            server.Expect(Wire.Query("b"));
            server.Send(Wire.Answer("b"));
            b.Expect(Wire.Answer("b"));
        }

        Assert.Equal(1, rig.Postgres.Logins);
    }

    /// <summary>Most of many clients are idle: what costs memory is made with the first request that needs a server.</summary>
    [Fact]
    public void AClientThatHasAskedNothingHasNoExchange()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Join(Wire.Sync, Wire.CopyDone));
        a.Expect(Wire.Ready('I'));
        rig.Turn();
        Assert.Null(rig.On(() => rig.Sessions.OfCurrentThread().Single().Exchange));
        Exchange(a, server, "a", Wire.Answer("a"));
        Assert.NotNull(rig.On(() => rig.Sessions.OfCurrentThread().Single().Exchange));
    }

    internal static void Exchange(RawPeer client, RawPeer server, string query, byte[] answer)
    {
        client.Send(Wire.Query(query));
        server.Expect(Wire.Query(query));
        server.Send(answer);
        client.Expect(answer);
    }
}
