using CsCheck;
using Pooler.Protocol;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Model;

/// <summary>Beside ReplyQueueTests: what an orderly client never does, and what an attacker does.</summary>
public sealed class CopyDoubtTests
{
    /// <summary>COPY data that is wrong, and a Sync before the end: one ReadyForQuery more than the queue expects.</summary>
    [Fact]
    public void ASettledQueueOwesNothingWhateverTheClientSendsInACopy() => ReplyQueueTests.Play(
        [Wire.Execute("copyin"), Wire.CopyData("bad"), Wire.Sync, Wire.CopyDone, Wire.Sync, Wire.Query("select 1")], [2, 1, 0, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0], isOrderly: false);

    [Fact]
    public void AQueryIsNotAnsweredByReadyForQueryAlone()
    {
        var queue = new ReplyQueue();
        queue.Push(ReplyKind.Query);
        Assert.Equal(ReplyVerdict.Unexpected, queue.Accept(BackendMessage.ReadyForQuery));
    }

    [Fact]
    public void AQueryEndsABatchThatWasNotSynced()
    {
        var queue = new ReplyQueue();
        queue.Push(ReplyKind.Parse);
        queue.Push(ReplyKind.Query);
        Assert.Equal(ReplyVerdict.Forward, queue.Accept(BackendMessage.ParseComplete));
        Assert.Equal(ReplyVerdict.Forward, queue.Accept(BackendMessage.CommandComplete));
        Assert.Equal(ReplyVerdict.Forward, queue.Accept(BackendMessage.ReadyForQuery));
        Assert.True(queue.IsSettled);
    }
}
