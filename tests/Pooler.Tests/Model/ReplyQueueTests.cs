using CsCheck;
using Pooler.Protocol;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Model;

/// <summary>The real reply queue beside <see cref="PostgresSimulator"/>: any program, any interleaving of sends, work and replies.</summary>
public sealed class ReplyQueueTests
{
    private static readonly byte[][] SimpleMessages =
    [
        .. new[] { "select 2", "", "begin", "commit", "error", "error late", "select 1;select 1", "select 1;error;select 1", "notice", "set", "copyout", "copyin", "copyin;copyin", "copyin;select 1" }
            .Select(Wire.Query),
        Wire.FunctionCall("f"), Wire.FunctionCall("error"),
    ];

    private static readonly byte[][] ExtendedMessages =
    [
        Wire.Parse("select 1"), Wire.Parse("error"), Wire.Bind(), Wire.Bind("error"), Wire.Describe('S', "select"), Wire.Describe('P'), Wire.Describe('P', "error"),
        Wire.Close(), Wire.Close("error"),
        .. new[] { "select 3", "", "error", "error late", "begin", "rollback", "suspend", "copyin", "copyout", "notice" }.Select(Wire.Execute),
        Wire.Flush,
    ];

    private static readonly byte[][] CopyMessages = [Wire.CopyData("1"), Wire.CopyData("bad"), Wire.CopyDone, Wire.CopyFail("no")];

    private static readonly byte[] AllReplies = "123CcDdEGHInNsStTVZAWRKv"u8.ToArray();

    private static readonly Gen<byte[]> Message = Gen.Frequency(
        (4, OneOf(SimpleMessages)), (6, OneOf(ExtendedMessages)), (4, Gen.Const(Wire.Sync)), (5, OneOf(CopyMessages)));

    [Fact]
    public void EveryLegalReplyIsTakenAndSettledMeansNothingIsOwed() =>
        Gen.Select(Message.Array[1, 16], Gen.Int[0, 2].Array[0, 60]).Sample(static (program, order) => Play(program, order), iter: 30_000, threads: 1);

    /// <summary>As libpq does it: Sync at once behind the COPY command, data, the end, and Sync again.</summary>
    [Fact]
    public void CopyWithSyncBehindTheCommand() =>
        Gen.Select(OneOf(CopyMessages).Array[0, 4], Gen.Bool, Gen.Int[0, 2].Array[0, 40]).Sample(
            static (data, fails, order) => Play(
                [Wire.Parse("copyin"), Wire.Bind(), Wire.Execute("copyin"), Wire.Sync, .. data, fails ? Wire.CopyFail("no") : Wire.CopyDone, Wire.Sync, Wire.Query("select 1")],
                order),
            iter: 10_000,
            threads: 1);

    [Fact]
    public void AFullQueueIsStillInStep()
    {
        var queue = new ReplyQueue();
        for (int i = 0; i < ReplyQueue.Capacity; i++)
        {
            Assert.False(queue.IsFull);
            queue.Push((i % 3) switch { 0 => ReplyKind.Parse, 1 => ReplyKind.Bind, _ => ReplyKind.Sync }, i % 6 < 3 ? ReplyUse.Forward : ReplyUse.Swallow);
        }

        Assert.True(queue.IsFull);
        for (int i = 0; i < ReplyQueue.Capacity; i++)
        {
            Assert.Equal(ReplyVerdict.Unexpected, queue.Accept(BackendMessage.DataRow));
            Assert.Equal(i % 6 < 3 ? ReplyVerdict.Forward : ReplyVerdict.Swallow, queue.Accept((i % 3) switch
            {
                0 => BackendMessage.ParseComplete,
                1 => BackendMessage.BindComplete,
                _ => BackendMessage.ReadyForQuery,
            }));
        }

        Assert.Equal(0, queue.Count);
        Assert.Equal(ReplyVerdict.Unexpected, queue.Accept(BackendMessage.ReadyForQuery));
    }

    private static Gen<byte[]> OneOf(byte[][] messages) => Gen.Int[0, messages.Length - 1].Select(i => messages[i]);

    /// <summary>Client, server and the bytes between them; <paramref name="order"/> says who goes next.</summary>
    internal static void Play(byte[][] program, int[] order, bool isOrderly = true)
    {
        var queue = new ReplyQueue();
        var server = new PostgresSimulator();
        var toServer = new Queue<(byte[] Frame, int Number)>();
        var toClient = new Queue<(byte Type, int Cause)>();
        int next = 0, sent = 0, settledAt = 0, turn = 0;
        int copies = 0;
        bool hasData = false, isGivenUp = false;
        while (!isGivenUp && (next < program.Length || toServer.Count > 0 || toClient.Count > 0))
        {
            int choice = turn < order.Length ? order[turn++] : 0;
            if (choice == 0 && toClient.Count > 0)
            {
                Deliver();
            }
            else if ((choice == 1 || (choice == 0 && next >= program.Length)) && toServer.Count > 0)
            {
                Work();
            }
            else if (next < program.Length)
            {
                Send(program[next++]);
            }
            else if (toServer.Count > 0)
            {
                Work();
            }
            else if (toClient.Count > 0)
            {
                Deliver();
            }

            settledAt = queue.IsSettled ? sent : settledAt;
        }

        // Everything was read and said: now both must know the same.
        if (!server.IsDead && !isGivenUp)
        {
            Assert.Equal(server.IsInCopy, queue.InCopy);
            Assert.Equal(server.IsInCopy ? 1 : 0, queue.Count);
            Assert.True(!queue.IsSettled || server.OwesNothing, "settled, and the server is in the middle of something");
            Assert.True(queue.IsSettled || !server.OwesNothing || queue.BatchOpen, "the server owes nothing, and the queue waits");
        }

        void Send(byte[] frame)
        {
            byte type = frame[0];
            bool isCopyFrame = type is (byte)'d' or (byte)'c' or (byte)'f';
            if (queue.InCopy && !isCopyFrame && type is not ((byte)'S' or (byte)'H'))
            {
                return; // The pooler refuses it.
            }

            if (isCopyFrame && !queue.InCopy && queue.Count == 0)
            {
                return; // The pooler swallows it.
            }

            if (isOrderly && !IsOrderly(frame))
            {
                return;
            }

            if (Kind(type) is { } kind)
            {
                queue.Push(kind);
            }

            toServer.Enqueue((frame, ++sent));
        }

        // What follows COPY data before its end may be ignored, answered or fatal, as the data proves right or wrong: the stream of
        // replies alone does not tell. An orderly client sends its data, the end, and only then goes on.
        bool IsOrderly(byte[] frame)
        {
            switch ((char)frame[0])
            {
                case 'd':
                    hasData = true;
                    return true;
                case 'c' or 'f':
                    copies = Math.Max(0, copies - 1);
                    hasData = false;
                    return true;
                case 'S' or 'H':
                    return copies == 0 || !hasData;
                default:
                    if (copies > 0)
                    {
                        return false;
                    }

                    hasData = false;
                    copies = frame[0] is (byte)'Q' or (byte)'E' ? Wire.ReadText(frame.AsSpan(5)).Split("copyin").Length - 1 : 0;
                    return true;
            }
        }

        void Work()
        {
            (byte[] frame, int number) = toServer.Dequeue();
            foreach (byte[] reply in server.Read(frame))
            {
                toClient.Enqueue((reply[0], number));
            }
        }

        void Deliver()
        {
            (byte type, int cause) = toClient.Dequeue();
            bool isAsynchronous = type is (byte)'N' or (byte)'S' or (byte)'A';
            if (!isAsynchronous)
            {
                Assert.True(cause > settledAt, $"'{(char)type}' answers message {cause}, but everything up to {settledAt} was settled");
                RefuseWhatCannotBe(queue);
            }

            ReplyVerdict verdict = queue.Accept(type);
            bool isGoodbye = server.IsDead && type == 'E';
            if (!isOrderly && type == 'E' && verdict == ReplyVerdict.Unexpected)
            {
                isGivenUp = true; // What a failed COPY left in doubt closes the server.
                return;
            }

            Assert.True(isGoodbye || verdict == (isAsynchronous ? ReplyVerdict.Asynchronous : ReplyVerdict.Forward), $"{verdict} of a legal '{(char)type}'");
        }
    }

    /// <summary>Types no PostgreSQL can send as its next to the oldest request; asking changes nothing.</summary>
    private static void RefuseWhatCannotBe(ReplyQueue queue)
    {
        if (queue.Count == 0)
        {
            return;
        }

        (string legal, int count, bool inCopy) = (Legal(queue.Head), queue.Count, queue.InCopy);
        foreach (byte type in AllReplies)
        {
            if (!legal.Contains((char)type) && type is not ((byte)'N' or (byte)'S' or (byte)'A'))
            {
                Assert.Equal(ReplyVerdict.Unexpected, queue.Accept(type));
            }
        }

        Assert.Equal((count, inCopy), (queue.Count, queue.InCopy));
    }

    private static string Legal(ReplyKind head) => head switch
    {
        ReplyKind.Parse => "1E",
        ReplyKind.Bind => "2E",
        ReplyKind.Close => "3E",
        ReplyKind.Describe => "tTnE",
        ReplyKind.Execute => "DCIsGHdcE",
        ReplyKind.Query => "TDCIGHdcEZ",
        ReplyKind.Sync => "ZE",
        ReplyKind.FunctionCall => "VEZ",
        _ => "",
    };

    private static ReplyKind? Kind(byte type) => (char)type switch
    {
        'P' => ReplyKind.Parse,
        'B' => ReplyKind.Bind,
        'C' => ReplyKind.Close,
        'D' => ReplyKind.Describe,
        'E' => ReplyKind.Execute,
        'Q' => ReplyKind.Query,
        'S' => ReplyKind.Sync,
        'F' => ReplyKind.FunctionCall,
        'd' => ReplyKind.CopyData,
        'c' or 'f' => ReplyKind.CopyEnd,
        _ => null,
    };
}
