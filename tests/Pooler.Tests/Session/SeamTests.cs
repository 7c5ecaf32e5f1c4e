using Xunit;

namespace Pooler.Tests.Session;

/// <summary>Where prepared statements, cancels, COPY and repeated requests meet.</summary>
[Collection(IoThreads.Name)]
public sealed class SeamTests
{
    private static readonly byte[] Parsed = Wire.Frame('1'), Bound = Wire.Frame('2'), Closed = Wire.Frame('3');
    private static readonly byte[] Canceled = Wire.Error("canceling statement due to user request", sqlState: "57014");
    private static readonly byte[] CanceledAndReady = Wire.Join(Canceled, Wire.Ready('I'));
    private static readonly byte[] One = Wire.Join(Bound, Wire.Row("1"), Wire.Complete("SELECT 1"), Wire.Ready('I'));
    private static readonly byte[] Goodbye = Wire.Error("terminating connection due to administrator command", "FATAL", "57P01");
    private static readonly byte[] Startup = Wire.Startup("u", "db");

    private static readonly byte[] Invalid = Wire.Join(
        Wire.Frame('E', "SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0RRevalidateCachedQuery\0\0"u8), Wire.Ready('I'));

    private static byte[] BindOf(string name) => Wire.Frame('B', [0, .. System.Text.Encoding.UTF8.GetBytes(name), 0, 0, 0, 0, 0, 0, 0]);

    private static byte[] Run(string name) => Wire.Join(BindOf(name), Wire.Execute(), Wire.Sync);

    /// <summary>A Parse of ours may wait for a lock as long as the client's own would.</summary>
    [Fact]
    public void ACancelReachesAParseOfOurs()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        server.Dispose();
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
        a.Send(Run("one"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        Assert.Empty(cancel.ReceiveToEnd());
        second.Send(CanceledAndReady);
        a.Expect(CanceledAndReady);
        rig.WaitForIdleServer();

        // It was not prepared: it is once more, ahead of its next use.
        a.Send(Run("one"));
        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
    }

    /// <summary>What makes room for the names of an EXECUTE must not be hit; the EXECUTE must.</summary>
    [Fact]
    public void ACancelWaitsForWhatGoesAheadOfAQuery()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(Startup, out byte[] key);
        Prepare(a, server, "one", "select 1");
        b.Send(Wire.Query("execute one"));
        server.Expect(Wire.Join(Wire.Close("one"), Wire.Sync, Wire.Query("execute one")));
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        rig.WaitFor(p => p.Stats.Sum(static s => s.CancelsWaiting) == 1, "the cancel is noted");
        Assert.Equal(0, rig.Postgres.Cancels);
        server.Send(Wire.Join(Closed, Wire.Ready('I')));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(CanceledAndReady);
        b.Expect(CanceledAndReady);
        Assert.Empty(cancel.ReceiveToEnd());
        rig.WaitForIdleServer();
    }

    /// <summary>The clean-up after a client that leaves: were our Close hit, its EXECUTE would run another client's statement.</summary>
    [Fact]
    public void ACleanUpSparesWhatGoesAheadOfAQuery()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Prepare(a, server, "one", "select 1");
        LeaseTests.Exchange(b, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        b.Send(Wire.Query("execute one"));
        server.Expect(Wire.Join(Wire.Close("one"), Wire.Sync, Wire.Query("execute one")));
        b.Dispose();
        rig.WaitFor(static p => p.Slots.Single().State == Pooler.Pooling.SlotState.Housekeeping, "the clean-up");
        Assert.Equal(0, rig.On(() => rig.Pool.Slots.Single().Server.CancelsInFlight + rig.Postgres.Cancels));
        server.Send(Wire.Join(Closed, Wire.Ready('T')));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Canceled, Wire.Ready('E')));
        server.Expect(Wire.Query("ROLLBACK"));
        server.Send(Wire.Join(Wire.Complete("ROLLBACK"), Wire.Ready('I')));
        server.Expect(Wire.Query("DISCARD ALL"));
        server.Send(Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I')));
        rig.WaitForIdleServer();
    }

    /// <summary>The first is answered while its cancel is under way, so the next runs on another server; it can be cancelled too.</summary>
    [Fact]
    public void ACancelIsNotLostBehindThatOfTheRequestBefore()
    {
        using var rig = new PoolerRig("default_pool_size = 2");
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        a.Send(Wire.Query("slow"));
        server.Expect(Wire.Query("slow"));
        rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the first cancel");
        server.Send(Wire.Answer("just in time"));
        a.Expect(Wire.Answer("just in time"));

        a.Send(Wire.Query("slow too"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Query("slow too"));
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        rig.WaitFor(p => p.Stats.Sum(static s => s.CancelsWaiting) == 1, "the second cancel is noted");
        rig.Postgres.HoldsCancels = false;
        rig.Postgres.ReleaseCancels();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 2, "the second cancel");
        Assert.Empty(cancel.ReceiveToEnd());
        second.Send(CanceledAndReady);
        a.Expect(CanceledAndReady);
    }

    /// <summary>The cancel may have come and gone with the error: what would be run again could not be cancelled any more.</summary>
    [Fact]
    public void WhatWasCancelledIsNotRunAgain()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        a.Send(Run("one"));
        server.Expect(Run("one"));
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Invalid);
        a.Expect(Invalid);
        rig.Postgres.ReleaseCancels();
        Assert.Empty(cancel.ReceiveToEnd());
        rig.WaitForIdleServer();
    }

    /// <summary>PostgreSQL skips the Query as well and waits for the Sync that is held back.</summary>
    [Theory]
    [InlineData("one", false)]
    [InlineData("", true)]
    public void AnErrorLetsGoOfTheSyncItWaitsFor(string name, bool isContended)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        if (isContended)
        {
            LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
            b.Send(Wire.Query("b"));
            rig.WaitFor(static p => p.Waiting == 1, "b waits");
        }

        a.Send(Wire.Join(Wire.Parse("selec", name), Wire.Query("select 1"), Wire.Sync));
        server.Expect(Wire.Join(Wire.Parse("selec", name), Wire.Query("select 1")));
        server.Send(Wire.Error("syntax error"));
        server.Expect(Wire.Sync);
        server.Send(Wire.Ready('I'));
        a.Expect(Wire.Join(Wire.Error("syntax error"), Wire.Ready('I')));
    }

    /// <summary>As libpq sends it, but without a pause: the second Sync belongs to the batch that the COPY has kept open.</summary>
    [Fact]
    public void ACopyLetsGoOfTheSyncBehindItsData()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        byte[] begin = Wire.Join(Wire.Parse("copy t from stdin", "c"), BindOf("c"), Wire.Execute(), Wire.Sync, Wire.CopyData("1\n"), Wire.CopyDone);
        a.Send(Wire.Join(begin, Wire.Sync));
        server.Expect(begin);
        byte[] copyIn = Wire.Join(Parsed, Bound, Wire.Frame('G', 0, 0, 0));
        server.Send(copyIn);
        server.Expect(Wire.Sync);
        server.Send(Wire.Join(Wire.Complete("COPY 1"), Wire.Ready('I')));
        a.Expect(Wire.Join(copyIn, Wire.Complete("COPY 1"), Wire.Ready('I')));
        rig.WaitForIdleServer();
    }

    /// <summary>The same by a Query while others wait: the Sync, which PostgreSQL ignores, stands before the end of the data.</summary>
    [Fact]
    public void ACopyLetsGoOfItsDataWhileOthersWait()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        a.Send(Wire.Join(Wire.Query("copy t from stdin"), Wire.Sync, Wire.CopyData("1\n"), Wire.CopyDone));
        server.Expect(Wire.Query("copy t from stdin"));
        server.Send(Wire.Frame('G', 0, 0, 0));
        server.Expect(Wire.Join(Wire.Sync, Wire.CopyData("1\n"), Wire.CopyDone));
        server.Send(Wire.Join(Wire.Complete("COPY 1"), Wire.Ready('T')));
        a.Expect(Wire.Join(Wire.Frame('G', 0, 0, 0), Wire.Complete("COPY 1"), Wire.Ready('T')));
    }

    /// <summary>PostgreSQL would fail the COPY over the Parse, which it was not sent: it would wait for data that never come.</summary>
    [Fact]
    public void AnAnswerOfOursInTheMidstOfACopyEndsIt()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Prepare(a, server, "one", "select 1");
        byte[] copy = Wire.Join(Wire.Parse("copy t from stdin"), Wire.Bind(), Wire.Execute());
        b.Send(Wire.Join(copy, Wire.Parse("select 1", "one"), Wire.Sync));
        server.Expect(Wire.Join(copy, Wire.Sync));
        server.Send(Wire.Join(Parsed, Bound, Wire.Frame('G', 0, 0, 0)));
        server.ReceiveToEnd();
        Assert.Contains("08007", RawPeer.Show(b.ReceiveToEnd()), StringComparison.Ordinal);
    }

    /// <summary>A server that says goodbye has run nothing; what is to run elsewhere was cancelled meanwhile, so it does not run at all.</summary>
    [Fact]
    public void WhatWasCancelledDoesNotGoToAnotherServer()
    {
        using var rig = new PoolerRig();
        rig.Postgres.HoldsCancels = true;
        RawPeer a = rig.Client(Startup, out byte[] key), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        a.Send(Run("one"));
        server.Expect(Run("one"));
        RawPeer cancel = rig.Connect(Wire.Cancel(key));
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Goodbye);
        a.ExpectError("57014", "canceling statement due to user request"); // Ours.
        a.Expect(Wire.Ready('I'));
        rig.Postgres.ReleaseCancels();
        Assert.Empty(cancel.ReceiveToEnd());
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");

        a.Send(Run("one"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
        second.Send(Wire.Join(Parsed, One));
        a.Expect(One);
        rig.WaitForIdleServer();
    }

    /// <summary>The next server is given the statement again; the records of both are right.</summary>
    [Fact]
    public void WhatGoesToAnotherServerTakesItsStatementAlong()
    {
        using var rig = new PoolerRig("max_prepared_statements = 1");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        a.Send(Wire.Join(Wire.Parse("select 2", "two"), Wire.Sync));
        server.Expect(Wire.Join(Wire.Close("one"), Wire.Parse("select 2", "two"), Wire.Sync));
        server.Send(Wire.Join(Closed, Parsed, Wire.Ready('I')));
        a.Expect(Wire.Join(Parsed, Wire.Ready('I')));
        a.Send(Run("one"));
        server.Expect(Wire.Join(Wire.Close("two"), Wire.Parse("select 1", "one"), Run("one")));
        server.Send(Goodbye);
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
        second.Send(Wire.Join(Parsed, One));
        a.Expect(One);
        rig.WaitFor(static p => p.Slots.Count == 1 && p.IdleCount == 1, "one server");
        Assert.Equal([(1, 0), (1, 1)], rig.Pools.Statements.List().Select(static s => (s.Clients, s.Servers)).Order());
    }

    /// <summary>Neither the end of the old statement nor the beginning of the new one was seen: the server is reset, nothing is counted.</summary>
    [Fact]
    public void AClientThatLeavesDuringAnEvictionLeavesNothing()
    {
        using var rig = new PoolerRig("max_prepared_statements = 1");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        a.Send(Wire.Join(Wire.Parse("select 2", "two"), Run("two")));
        server.Expect(Wire.Join(Wire.Close("one"), Wire.Parse("select 2", "two"), Run("two")));
        server.Send(Closed);
        rig.Turn();
        a.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(CanceledAndReady);
        server.Expect(Wire.Query("DISCARD ALL"));
        server.Send(Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I')));
        rig.WaitForIdleServer();
        Assert.All(rig.Pools.Statements.List(), static s => Assert.Equal((0, 0), (s.Clients, s.Servers)));
        Assert.Equal(2, rig.Pools.Statements.Measure().Unused);
    }

    private static void Prepare(RawPeer client, RawPeer server, string name, string text)
    {
        byte[] parse = Wire.Join(Wire.Parse(text, name), Wire.Sync);
        client.Send(parse);
        server.Expect(parse);
        server.Send(Wire.Join(Parsed, Wire.Ready('I')));
        client.Expect(Wire.Join(Parsed, Wire.Ready('I')));
    }
}
