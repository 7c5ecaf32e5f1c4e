using Xunit;

namespace Pooler.Tests.Session;

/// <summary>A server is lost: what its client is told of what was under way, and what runs elsewhere instead.</summary>
[Collection(IoThreads.Name)]
public sealed class LostServerTests
{
    private const string Unknown = "08007", Reset = "08006", Goodbye = "57P01", Crash = "57P02";
    private const string NotCommitted = "The transaction was not committed.";

    private static readonly byte[] Parsed = Wire.Frame('1'), Bound = Wire.Frame('2'), CopyIn = Wire.Frame('G', 0, 0, 0);
    private static readonly byte[] Batch = Wire.Join(Wire.Parse("insert into t values (1)"), Wire.Bind(), Wire.Execute());
    private static readonly byte[] BeginBatch = Wire.Join(Wire.Parse("begin"), Wire.Bind(), Wire.Execute());

    private static byte[] BindOf(string name) => Wire.Frame('B', [0, .. System.Text.Encoding.UTF8.GetBytes(name), 0, 0, 0, 0, 0, 0, 0]);

    /// <summary>In flight without a block around it: what the server does not answer may be done.</summary>
    public static readonly TheoryData<string, byte[], string> Alone = new()
    {
        { "a write", Wire.Query("insert into t values (1)"), Unknown },
        { "a write in comments", Wire.Query("/* a */ -- b\n insert into t values (1);"), Unknown },
        { "a query that may call anything", Wire.Query("select f()"), Unknown },
        { "a procedure", Wire.Query("call p()"), Unknown },
        { "a block of code", Wire.Query("do $$ begin end $$"), Unknown },
        { "several", Wire.Query("select 1; insert into t values (1)"), Unknown },
        { "a transaction in one text", Wire.Query("begin; insert into t values (1); commit"), Unknown },
        { "the second half of a commit", Wire.Query("commit prepared 'x'"), Unknown },
        { "nothing that is SQL", Wire.Query("?"), Unknown },
        { "a function by its number", Wire.FunctionCall("f"), Unknown },
        { "a batch", Wire.Join(Batch, Wire.Sync), Unknown },
        { "a batch that its Sync has not ended", Wire.Join(Batch, Wire.Flush), Reset },
        { "a batch that commits on its way", Wire.Join(Wire.Parse("vacuum"), Wire.Bind(), Wire.Execute(), Wire.Flush), Unknown },
        { "a batch and a query", Wire.Join(Batch, Wire.Query("select 1")), Unknown },
        { "only its Parse", Wire.Join(Wire.Parse("insert into t values (1)"), Wire.Describe('S'), Wire.Sync), Reset },
        { "a BEGIN and what it begins", Wire.Join(Wire.Query("begin"), Batch, Wire.Sync), Reset },
        { "a BEGIN with its mode", Wire.Join(Wire.Query("start transaction isolation level repeatable read, read write"), Batch, Wire.Sync), Reset },
        { "a BEGIN that fails", Wire.Join(Wire.Query("begin transaction isolation levle"), Batch, Wire.Sync), Unknown },
        { "a BEGIN, its work and its COMMIT", Wire.Join(Wire.Query("begin"), Batch, Wire.Sync, Wire.Query("commit")), Unknown },
        { "a BEGIN in the batch", Wire.Join(BeginBatch, Batch, Wire.Sync), Reset },
        { "a BEGIN in the batch, and another batch", Wire.Join(BeginBatch, Wire.Sync, Batch, Wire.Sync), Unknown },
        { "a BEGIN that is bound and not executed", Wire.Join(Wire.Parse("begin"), Wire.Bind(), Batch, Wire.Sync), Unknown },
    };

    [Theory, MemberData(nameof(Alone))]
    public void WithoutABlock(string _, byte[] request, string sqlState)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(request);
        server.Expect(request);
        server.Dispose();
        AssertTold(a, sqlState, sqlState == Reset ? NotCommitted : "may or may not have been committed");
    }

    /// <summary>In flight in a transaction block: kept by nothing but what may end the block.</summary>
    public static readonly TheoryData<string, byte[], string> InABlock = new()
    {
        { "nothing", [], Reset },
        { "a write", Wire.Query("insert into t values (1)"), Reset },
        { "a procedure", Wire.Query("call p()"), Reset },
        { "a function by its number", Wire.FunctionCall("f"), Reset },
        { "a batch", Wire.Join(Batch, Wire.Sync), Reset },
        { "several batches", Wire.Join(Batch, Wire.Sync, Batch, Wire.Sync), Reset },
        { "a savepoint", Wire.Join(Wire.Query("savepoint s"), Wire.Query("rollback to s"), Wire.Query("release s")), Reset },
        { "its end", Wire.Query("commit"), Unknown },
        { "its end in other words", Wire.Query("END work"), Unknown },
        { "its end behind a comment", Wire.Query("/* /* */ */commit;"), Unknown },
        { "its end and another", Wire.Query("commit and chain"), Unknown },
        { "its first half", Wire.Query("prepare transaction 'x'"), Unknown },
        { "a statement prepared by SQL", Wire.Query("prepare x as select 1"), Reset },
        { "several", Wire.Query("select 1; commit"), Unknown },
        { "its end behind a write", Wire.Join(Batch, Wire.Sync, Wire.Query("commit")), Unknown },
        { "its end in a batch", Wire.Join(Wire.Parse("commit"), Wire.Bind(), Wire.Execute(), Wire.Flush), Unknown },
        { "a name of its end", Wire.Join(BindOf("end"), Wire.Execute(), Wire.Sync), Unknown },
        { "a name of a write", Wire.Join(BindOf("write"), Wire.Execute(), Wire.Sync), Reset },
        { "its failure", Wire.Query("rollback"), Reset },
        { "its failure in other words", Wire.Query("abort transaction"), Reset },
        { "its failure and a write", Wire.Join(Wire.Query("rollback"), Batch, Wire.Sync), Unknown },
        { "its failure and another", Wire.Query("rollback and chain"), Unknown },
    };

    [Theory, MemberData(nameof(InABlock))]
    public void InsideABlock(string _, byte[] request, string sqlState)
    {
        using var rig = new PoolerRig();
        (RawPeer a, RawPeer server) = Begin(rig);
        a.Send(request);
        server.Expect(request);
        server.Dispose();
        AssertTold(a, sqlState, sqlState == Reset ? NotCommitted : "may or may not have been committed");
    }

    /// <summary>Names that pass as they are: one that may commit makes all of them doubtful.</summary>
    [Theory]
    [InlineData("insert into t values (1)", Reset)]
    [InlineData("commit", Unknown)]
    public void NamesThatAreNotMapped(string text, string sqlState)
    {
        using var rig = new PoolerRig("max_prepared_statements = 0");
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        Prepare(a, server, "one", text, 'T');
        byte[] run = Wire.Join(BindOf("one"), Wire.Execute(), Wire.Sync);
        a.Send(run);
        server.Expect(run);
        server.Dispose();
        AssertTold(a, sqlState, "committed");
    }

    /// <summary>In its own words, as long as these say what became of the transaction.</summary>
    [Theory]
    [InlineData("insert into t values (1)", false, Goodbye)]
    [InlineData("commit", false, Unknown)]
    [InlineData("insert into t values (1)", true, Crash)]
    [InlineData("commit", true, Unknown)]
    public void ItsLastWords(string text, bool isCrash, string sqlState)
    {
        using var rig = new PoolerRig();
        (RawPeer a, RawPeer server) = Begin(rig);
        a.Send(Wire.Query(text));
        server.Expect(Wire.Query(text));
        server.Send(isCrash ? Wire.Warning("terminating connection", Crash) : Wire.Error("terminating connection", "FATAL", Goodbye));
        server.Dispose();
        string told = AssertTold(a, sqlState, sqlState == Unknown ? "may or may not have been committed" : NotCommitted);
        Assert.Contains("terminating connection", told, StringComparison.Ordinal);
    }

    /// <summary>A function may raise the same warning: what follows shows that it was none, and the client gets it in its place.</summary>
    [Fact]
    public void AWarningThatIsNoGoodbye()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        byte[] warning = Wire.Warning("raised", Crash);
        a.Send(Wire.Query("select f()"));
        server.Expect(Wire.Query("select f()"));
        server.Send(warning);
        rig.Turn();
        server.Send(Wire.Answer("1"));
        a.Expect(Wire.Join(warning, Wire.Answer("1")));
        rig.WaitForIdleServer();
    }

    /// <summary>An error's own FATAL that says the transaction has failed is the answer.</summary>
    [Fact]
    public void ACommitThatFailsIsNotUnknown()
    {
        using var rig = new PoolerRig();
        (RawPeer a, RawPeer server) = Begin(rig);
        a.Send(Wire.Query("commit"));
        server.Expect(Wire.Query("commit"));
        byte[] fatal = Wire.Error("terminating connection due to conflict", "FATAL", "40001");
        server.Send(fatal);
        Assert.Equal(fatal, a.ReceiveToEnd());
    }

    /// <summary>The commit is answered: what comes behind it is another matter.</summary>
    [Fact]
    public void ACommitThatWasAnsweredIsNot()
    {
        using var rig = new PoolerRig("pool_mode = session");
        (RawPeer a, RawPeer server) = Begin(rig);
        LeaseTests.Exchange(a, server, "commit", Wire.Join(Wire.Complete("COMMIT"), Wire.Ready('I')));
        server.Dispose();
        Assert.DoesNotContain("commit", AssertTold(a, Reset, "server conn crashed?"), StringComparison.Ordinal);
    }

    /// <summary>Data of a COPY is not kept before its end was sent.</summary>
    [Theory]
    [InlineData(false, Reset)]
    [InlineData(true, Unknown)]
    public void DuringACopy(bool isOver, string sqlState)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("copy t from stdin"));
        server.Expect(Wire.Query("copy t from stdin"));
        server.Send(CopyIn);
        a.Expect(CopyIn);
        byte[] data = Wire.Join(Wire.CopyData("1\n"), isOver ? Wire.CopyDone : []);
        a.Send(data);
        server.Expect(data);
        server.Dispose();
        AssertTold(a, sqlState, "committed");
    }

    private static readonly byte[] ShowBatch = Wire.Join(Wire.Parse("show work_mem"), Wire.Describe('S'), Wire.Bind(), Wire.Execute(), Wire.Sync);

    /// <summary>Reads, and how a server may die of which nothing came back.</summary>
    public static readonly TheoryData<byte[], byte[]> Deaths = new()
    {
        { Wire.Query("show work_mem"), [] },
        { Wire.Query("show work_mem"), Wire.Warning("terminating connection", Crash) },
        { Wire.Query("show work_mem"), Wire.Warning("terminating connection", Goodbye) },
        { Wire.Query("show work_mem"), Wire.Error("terminating connection", "FATAL", Goodbye) },
        { Wire.Query("show work_mem"), [(byte)'T', 0] },
        { Wire.Query("begin"), [] },
        { ShowBatch, [] },
        { ShowBatch, Wire.Warning("terminating connection", Crash) },
    };

    /// <summary>Nothing of it was answered, and it changes nothing: once more, elsewhere, and unseen. But only once.</summary>
    [Theory, MemberData(nameof(Deaths))]
    public void AReadRunsElsewhere(byte[] request, byte[] lastWords)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), first = rig.Postgres.Next();
        a.Send(request);
        first.Expect(request);
        first.Send(lastWords);
        first.Dispose();
        RawPeer second = rig.Postgres.Next();
        second.Expect(request);
        second.Dispose();
        AssertTold(a, Reset, "server conn crashed?");
    }

    [Fact]
    public void AnAnsweredReadDoesNot()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("show work_mem"));
        server.Expect(Wire.Query("show work_mem"));
        server.Send(Wire.RowDescription("work_mem"));
        a.Expect(Wire.RowDescription("work_mem"));
        server.Dispose();
        AssertTold(a, Unknown, "server conn crashed?");
        Assert.Equal(1, rig.Postgres.Logins);
    }

    /// <summary>A name is looked up: it stands for a read, or for a write.</summary>
    [Theory]
    [InlineData("show work_mem", true)]
    [InlineData("insert into t values (1)", false)]
    public void APreparedReadRunsElsewhere(string text, bool isRead)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), first = rig.Postgres.Next();
        Prepare(a, first, "one", text, 'I');
        rig.WaitForIdleServer();
        byte[] run = Wire.Join(BindOf("one"), Wire.Execute(), Wire.Sync);
        a.Send(run);
        first.Expect(run);
        first.Dispose();
        if (!isRead)
        {
            AssertTold(a, Unknown, "may or may not");
            return;
        }

        RawPeer second = rig.Postgres.Next();
        second.Expect(Wire.Join(Wire.Parse(text, "one"), run));
        byte[] answer = Wire.Join(Bound, Wire.Complete("SHOW"), Wire.Ready('I'));
        second.Send(Wire.Join(Parsed, answer));
        a.Expect(answer);
        rig.WaitForIdleServer();
    }

    /// <summary>Not a byte of it was sent: it goes to the next server, as often as it takes, write or not.</summary>
    [Theory]
    [InlineData("transaction")]
    [InlineData("session")]
    public void WhatWasNotSentGoesToTheNext(string mode)
    {
        using var rig = new PoolerRig($"pool_mode = {mode}");
        RawPeer a = rig.Client(Wire.StartupWith("work_mem", "1MB"), out _), server = rig.Postgres.Next();
        a.Send(Wire.Query("insert into t values (1)"));
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal((byte)'Q', server.ReceiveFrame()[0]);
            server.Send(i % 2 == 0 ? Wire.Error("terminating connection", "FATAL", Goodbye) : Wire.Warning("terminating connection", Crash));
            server.Dispose();
            server = rig.Postgres.Next();
        }

        Assert.Contains("work_mem", RawPeer.Show(server.ReceiveFrame()), StringComparison.Ordinal);
        server.Send(Wire.Join(Wire.Complete("SET"), Wire.Ready('I')));
        server.Expect(Wire.Query("insert into t values (1)"));
        server.Send(Wire.Join(Wire.Complete("INSERT 0 1"), Wire.Ready('I')));
        a.Expect(Wire.Join(Wire.Complete("INSERT 0 1"), Wire.Ready('I')));
    }

    /// <summary>A client in a block, with the names "end" for COMMIT and "write" for a write.</summary>
    private static (RawPeer Client, RawPeer Server) Begin(PoolerRig rig)
    {
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        LeaseTests.Exchange(a, server, "begin", Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
        Prepare(a, server, "end", "commit", 'T');
        Prepare(a, server, "write", "insert into t values (1)", 'T');
        return (a, server);
    }

    private static void Prepare(RawPeer client, RawPeer server, string name, string text, char status)
    {
        byte[] parse = Wire.Join(Wire.Parse(text, name), Wire.Sync);
        client.Send(parse);
        server.Expect(parse);
        server.Send(Wire.Join(Parsed, Wire.Ready(status)));
        client.Expect(Wire.Join(Parsed, Wire.Ready(status)));
    }

    private static string AssertTold(RawPeer client, string sqlState, string words)
    {
        string told = RawPeer.Show(client.ReceiveToEnd());
        Assert.Contains($"VFATAL.C{sqlState}.", told, StringComparison.Ordinal);
        Assert.Contains(words, told, StringComparison.Ordinal);
        return told;
    }
}
