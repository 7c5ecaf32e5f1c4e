using CsCheck;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>Bytes come in any pieces: the same conversations, cut at every byte and at random, give the same bytes out.</summary>
[Collection(IoThreads.Name)]
public sealed class CutTests
{
    private static readonly byte[] CopyIn = Wire.Frame('G', 0, 0, 1, 0, 0), CopyOut = Wire.Frame('H', 0, 0, 1, 0, 0);

    private static readonly byte[] Reset = Wire.Query("DISCARD ALL");

    private static readonly byte[][] Simple =
        [Wire.Query("select 1"), Wire.Answer("1")];

    private static readonly byte[][] ErrorAndNotice =
        [Wire.Query("x; y"), Wire.Join(Wire.Notice("look"), Wire.Complete("INSERT 0 1"), Wire.Error("no such table"), Wire.Ready('I'))];

    private static readonly byte[][] Transaction =
    [
        Wire.Query("begin"), Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')),
        Wire.Query(""), Wire.Join(Wire.Frame('I'), Wire.Ready('T')),
        Wire.Query("commit"), Wire.Join(Wire.Complete("COMMIT"), Wire.Ready('I')),
    ];

    private static readonly byte[][] Extended =
    [
        Wire.Join(
            Wire.Parse("select $1"), Wire.Describe('S'), Wire.Bind(), Wire.Execute(), Wire.Close(), Wire.Sync,
            Wire.Parse("wrong"), Wire.Bind(), Wire.Execute(), Wire.Sync),
        Wire.Join(
            Wire.Frame('1'), Wire.Frame('t', 0, 0), Wire.RowDescription("a"), Wire.Frame('2'), Wire.Row("one"), Wire.Row(""), Wire.Complete("SELECT 2"),
            Wire.Frame('3'), Wire.Ready('I'), Wire.Error("syntax error"), Wire.Ready('I')),
    ];

    private static readonly byte[][] Flushed =
    [
        Wire.Join(Wire.Parse("select 1"), Wire.Flush), Wire.Frame('1'),
        Wire.Join(Wire.Bind(), Wire.Execute(), Wire.Flush), Wire.Join(Wire.Frame('2'), Wire.Frame('s')),
        Wire.Sync, Wire.Ready('I'),
    ];

    private static readonly byte[][] CopyBothWays =
    [
        Wire.Query("copy t from stdin"), CopyIn,
        Wire.Join(Wire.CopyData("1\tone\n"), Wire.CopyData(""), Wire.CopyData("2\ttwo\n"), Wire.CopyDone), Wire.Join(Wire.Complete("COPY 2"), Wire.Ready('I')),
        Wire.Query("copy t to stdout"), Wire.Join(CopyOut, Wire.CopyData("1\tone\n"), Wire.CopyData("2\ttwo\n"), Wire.CopyDone, Wire.Complete("COPY 2"), Wire.Ready('I')),
    ];

    private static readonly byte[][] CopyByPipeline =
    [
        Wire.Join(Wire.Parse("copy t from stdin"), Wire.Bind(), Wire.Execute(), Wire.Sync), Wire.Join(Wire.Frame('1'), Wire.Frame('2'), CopyIn),
        Wire.Join(Wire.CopyData("1\n"), Wire.CopyFail("enough"), Wire.Sync), Wire.Join(Wire.Error("COPY from stdin failed: enough"), Wire.Ready('I')),
    ];

    private static readonly byte[][] Parameter =
    [
        Wire.FunctionCall("f"), Wire.Join(Wire.Frame('V', 0, 0, 0, 1, (byte)'x'), Wire.Ready('I')),
    ];

    private static readonly byte[][] Large =
    [
        Wire.Query("select '" + new string('x', 50_000) + "'"), Wire.Answer(new string('y', 70_000)),
        Wire.Join(Wire.Parse("select $1"), Wire.Frame('B', new byte[17_000]), Wire.Execute(), Wire.Sync),
        Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Row(new string('z', 16_370)), Wire.Row(new string('z', 16_371)), Wire.Complete("SELECT 2"), Wire.Ready('I')),
        Wire.Query("copy t from stdin"), CopyIn,
        Wire.Join(Wire.CopyData(new string('a', 16_379)), Wire.CopyData(new string('b', 16_380)), Wire.CopyData(new string('c', 40_000)), Wire.CopyDone),
        Wire.Join(Wire.Notice(new string('n', 20_000)), Wire.Complete("COPY 3"), Wire.Ready('I')),
        Wire.Query("x"), Wire.Join(Wire.Error(new string('e', 30_000)), Wire.Ready('I')),
    ];

    public static TheoryData<string> Conversations => [.. All.Keys];

    private static Dictionary<string, byte[][]> All { get; } = new()
    {
        [nameof(Simple)] = Simple,
        [nameof(ErrorAndNotice)] = ErrorAndNotice,
        [nameof(Transaction)] = Transaction,
        [nameof(Extended)] = Extended,
        [nameof(Flushed)] = Flushed,
        [nameof(CopyBothWays)] = CopyBothWays,
        [nameof(CopyByPipeline)] = CopyByPipeline,
        [nameof(Parameter)] = Parameter,
    };

    [Theory]
    [MemberData(nameof(Conversations))]
    public void CutAtEveryByte(string name)
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        byte[][] conversation = All[name];
        for (int step = 0; step < conversation.Length; step++)
        {
            for (int cut = 1; cut < conversation[step].Length; cut++)
            {
                Talk(rig, client, server, conversation, (s, at) => s == step && at == cut);
            }
        }

        ResetIfAsked(rig, server);
        rig.WaitForIdleServer();
    }

    [Theory]
    [MemberData(nameof(Conversations))]
    public void OneByteAtATime(string name)
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        Talk(rig, client, server, All[name], static (_, _) => true);
        ResetIfAsked(rig, server);
        rig.WaitForIdleServer();
    }

    [Fact]
    public void LargeMessagesCutAtRandom()
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        Gen.Int[1, 71_000].Array[1, 8].Sample(
            cuts =>
            {
                Talk(rig, client, server, Large, (_, at) => Array.IndexOf(cuts, at) >= 0);
                ResetIfAsked(rig, server);
                rig.WaitForIdleServer();
            },
            iter: 60,
            threads: 1);
    }

    /// <summary>Cuts near the borders of the 16 KiB blocks and of the messages' heads.</summary>
    [Fact]
    public void LargeMessagesCutAroundTheirBorders()
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        foreach (int border in new[] { 1, 5, 6, 16_379, 16_380, 16_384, 16_385, 16_389, 32_768, 33_000, 49_152 })
        {
            for (int cut = Math.Max(1, border - 2); cut <= border + 2; cut++)
            {
                Talk(rig, client, server, Large, (_, at) => at == cut);
            }
        }

        ResetIfAsked(rig, server);
        rig.WaitForIdleServer();
    }

    /// <summary>Several conversations sent by a client in one piece, answered in pieces: pipelining.</summary>
    [Fact]
    public void PipelinedRequestsCutAtRandom()
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        byte[][] requests = [Simple[0], Extended[0], ErrorAndNotice[0], Parameter[0]], replies = [Simple[1], Extended[1], ErrorAndNotice[1], Parameter[1]];
        Gen.Select(Gen.Int[0, 3].Array[1, 12], Gen.Int[1, 3000].Array[0, 6]).Sample(
            (order, cuts) =>
            {
                byte[][] conversation = [Wire.Join(order.Select(i => requests[i])), Wire.Join(order.Select(i => replies[i]))];
                ReadOnlySpan<byte> request = conversation[0];
                SendCut(rig, client, 0, request, (_, at) => Array.IndexOf(cuts, at) >= 0);

                // Answered as they come: the pooler may let others go first between two requests.
                foreach (int i in order)
                {
                    Expect(server, requests[i], isRequest: true);
                    SendCut(rig, server, 1, replies[i], (_, at) => Array.IndexOf(cuts, at) >= 0);
                }

                client.Expect(conversation[1]);
                ResetIfAsked(rig, server);
                rig.WaitForIdleServer();
            },
            iter: 60,
            threads: 1);
    }

    private static void Talk(PoolerRig rig, RawPeer client, RawPeer server, byte[][] conversation, Func<int, int, bool> isCut)
    {
        for (int step = 0; step < conversation.Length; step++)
        {
            bool isRequest = step % 2 == 0;
            byte[] data = conversation[step];
            RawPeer from = isRequest ? client : server, to = isRequest ? server : client;
            if (data.Length > 8000)
            {
                // More than the sockets may hold at once.
                var sender = new Thread(() => SendCut(rig, from, step, data, isCut));
                sender.Start();
                Expect(to, data, isRequest);
                sender.Join();
            }
            else
            {
                SendCut(rig, from, step, data, isCut);
                Expect(to, data, isRequest);
            }
        }

        Assert.Equal(0, client.Available);
    }

    /// <summary>A server that may hold state (a function was called, a text was too long to be read) is reset before the next request.</summary>
    private static void Expect(RawPeer to, ReadOnlySpan<byte> data, bool isRequest)
    {
        byte[] head = to.Receive(5);
        if (isRequest && Reset.AsSpan().StartsWith(head))
        {
            to.Expect(Reset.AsSpan(5));
            to.Send(Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I')));
            head = to.Receive(5);
        }

        Assert.Equal(data[..5], head);
        to.Expect(data[5..]);
    }

    private static void ResetIfAsked(PoolerRig rig, RawPeer server)
    {
        rig.Turn();
        if (server.Available > 0)
        {
            server.Expect(Reset);
            server.Send(Wire.Join(Wire.Complete("DISCARD ALL"), Wire.Ready('I')));
        }
    }

    private static void SendCut(PoolerRig rig, RawPeer from, int step, ReadOnlySpan<byte> data, Func<int, int, bool> isCut)
    {
        int start = 0;
        for (int at = 1; at < data.Length; at++)
        {
            if (isCut(step, at))
            {
                from.Send(data[start..at]);
                rig.Turn(1);
                start = at;
            }
        }

        from.Send(data[start..]);
    }
}
