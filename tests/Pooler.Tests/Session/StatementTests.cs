using Xunit;

namespace Pooler.Tests.Session;

/// <summary>Prepared statements, byte by byte: what the server is sent and what the client gets.</summary>
[Collection(IoThreads.Name)]
public sealed class StatementTests
{
    private static readonly byte[] Parsed = Wire.Frame('1'), Bound = Wire.Frame('2'), Closed = Wire.Frame('3');
    private static readonly byte[] One = Wire.Join(Bound, Wire.Row("1"), Wire.Complete("SELECT 1"), Wire.Ready('I'));

    private static byte[] BindOf(string name) => Wire.Frame('B', [0, .. System.Text.Encoding.UTF8.GetBytes(name), 0, 0, 0, 0, 0, 0, 0]);

    private static byte[] Run(string name) => Wire.Join(BindOf(name), Wire.Execute(), Wire.Sync);

    [Fact]
    public void WhatTheServerHasIsAnsweredInItsPlace()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Prepare(a, server, "one", "select 1");

        // The second client's Parse does not go to the server; its answer comes behind that of what went before.
        b.Send(Wire.Join(Wire.Parse("select 2"), Wire.Parse("select 1", "one"), Run("one")));
        server.Expect(Wire.Join(Wire.Parse("select 2"), Run("one")));
        server.Send(Parsed);
        b.Expect(Wire.Join(Parsed, Parsed));
        server.Send(One);
        b.Expect(One);
        rig.WaitForIdleServer();
        rig.AssertNoDefect();
    }

    [Fact]
    public void WithNothingOutstandingTheAnswerComesAtOnce()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Prepare(a, server, "one", "select 1");
        b.Send(Wire.Join(Wire.Parse("select 1", "one"), Wire.Flush));
        b.Expect(Parsed);
        server.Expect(Wire.Flush);
        b.Send(Wire.Join(Wire.Close("one"), Wire.Sync));
        b.Expect(Closed);
        server.Expect(Wire.Sync);
        server.Send(Wire.Ready('I'));
        b.Expect(Wire.Ready('I'));
        rig.WaitForIdleServer();
    }

    [Fact]
    public void ANameThatIsTakenIsChangedOnTheWayAndNothingElse()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        Prepare(a, server, "one", "select 1");
        b.Send(Wire.Join(Wire.Parse("select 2", "one"), Run("one")));
        server.Expect(Wire.Join(Wire.Parse("select 2", "pooler_2"), Run("pooler_2")));
        server.Send(Wire.Join(Parsed, One));
        b.Expect(Wire.Join(Parsed, One));
        a.Send(Run("one"));
        server.Expect(Run("one"));
        server.Send(One);
        a.Expect(One);
    }

    [Fact]
    public void AnotherServerIsGivenTheStatementAhead()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        server.Dispose();
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
        a.Send(Run("one"));
        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
        second.Send(Wire.Join(Parsed, One));
        a.Expect(One);
        rig.WaitForIdleServer();
    }

    /// <summary>A Parse of ours that fails is the answer to the Bind behind it, and the next use tries again.</summary>
    [Fact]
    public void AFailedParseOfOursIsTheClientsAnswer()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        server.Dispose();
        rig.WaitFor(static p => p.Slots.Count == 0, "the server is gone");
        a.Send(Run("one"));
        RawPeer second = rig.Postgres.Next();
        byte[] missing = Wire.Join(Wire.Error("relation does not exist", sqlState: "42P01"), Wire.Ready('I'));
        for (int i = 0; i < 2; i++)
        {
            second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
            second.Send(missing);
            a.Expect(missing);
            a.Send(Run("one"));
        }

        second.Expect(Wire.Join(Wire.Parse("select 1", "one"), Run("one")));
        second.Send(Wire.Join(Parsed, One));
        a.Expect(One);
    }

    [Fact]
    public void TheOldestIsClosedUnseen()
    {
        using var rig = new PoolerRig("max_prepared_statements = 1");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        a.Send(Wire.Join(Wire.Parse("select 2", "two"), Wire.Sync));
        server.Expect(Wire.Join(Wire.Close("one"), Wire.Parse("select 2", "two"), Wire.Sync));

        // The Close did not run: the server still has the first, not the second.
        server.Send(Wire.Join(Wire.Error("out of memory", sqlState: "53200"), Wire.Ready('I')));
        a.Expect(Wire.Join(Wire.Error("out of memory", sqlState: "53200"), Wire.Ready('I')));
        a.Send(Run("one"));
        server.Expect(Run("one"));
        server.Send(One);
        a.Expect(One);
    }

    /// <summary>
    /// Nothing of the batch was answered and its rows are described, so it runs again; twice in a row the error is the client's, as it
    /// is when the client goes by an earlier description.
    /// </summary>
    [Fact]
    public void AnInvalidPlanIsMadeAnewOnce()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        Prepare(a, server, "one", "select 1");
        byte[] invalid = Wire.Join(
            Wire.Frame('E', "SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0RRevalidateCachedQuery\0\0"u8), Wire.Ready('I'));
        byte[] described = Wire.Join(BindOf("one"), Wire.Describe('P'), Wire.Execute(), Wire.Sync);
        byte[] answer = Wire.Join(Bound, Wire.Frame('n'), Wire.Complete("SELECT 1"), Wire.Ready('I'));
        byte[] anew = Wire.Join(Wire.Close("one"), Wire.Parse("select 1", "one"));
        a.Send(described);
        server.Expect(described);
        server.Send(invalid);
        server.Expect(Wire.Join(anew, described));
        server.Send(Wire.Join(Closed, Parsed, answer));
        a.Expect(answer);

        a.Send(described);
        server.Expect(described);
        server.Send(invalid);
        server.Expect(Wire.Join(anew, described));
        server.Send(Wire.Join(Closed, Parsed, invalid));
        a.Expect(invalid);

        a.Send(Run("one"));
        server.Expect(Wire.Join(anew, Run("one")));
        server.Send(Wire.Join(Closed, Parsed, invalid));
        a.Expect(invalid);
        rig.WaitForIdleServer();
    }

    [Fact]
    public void AClientThatLeavesWhileItsParseIsUnderWayCostsAReset()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Join(Wire.Parse("select 1", "one"), Wire.Sync));
        server.Expect(Wire.Join(Wire.Parse("select 1", "one"), Wire.Sync));
        a.Dispose();
        PoolerRig.WaitUntil(() => rig.Postgres.Cancels == 1, "the cancel");
        server.Send(Wire.Join(Parsed, Wire.Ready('I')));
        server.Expect(Wire.Query("DISCARD ALL"));
        server.Send(Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I')));
        rig.WaitForIdleServer();
        Assert.Equal((1, 1), (rig.Pools.Statements.Measure().Statements, rig.Pools.Statements.Measure().Unused));
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
