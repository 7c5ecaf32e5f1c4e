using System.Collections.Concurrent;
using Pooler.Net;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Net;

/// <summary>How much runs at once, in which order, and that neither lane shuts the other out.</summary>
public sealed class OffloadQueueTests : IDisposable
{
    private readonly OffloadQueue _queue = new(2);
    private readonly ConcurrentQueue<string> _begun = new();
    private readonly SemaphoreSlim _mayEnd = new(0);
    private readonly CountdownEvent _open = new(1);

    public void Dispose()
    {
        _mayEnd.Release(1000);
        _open.Signal();
        Assert.True(_open.Wait(RawPeer.Patience), "pieces have not run");
        Assert.Equal(0, _queue.Waiting);
    }

    [Fact]
    public void SoManyRunAtOnceInTheOrderTheyCame()
    {
        for (int i = 0; i < 6; i++)
        {
            Add($"{i}");
        }

        WaitFor(begun: 2);
        Assert.Equal(4, _queue.Waiting);
        for (int ended = 1; ended <= 4; ended++)
        {
            _mayEnd.Release();
            WaitFor(begun: 2 + ended);
            Assert.Equal(4 - ended, _queue.Waiting);
        }

        // Two places begin by themselves, so neighbours may change places.
        Assert.All(_begun.Select((name, place) => (Number: int.Parse(name), place)), static piece => Assert.InRange(piece.Number, piece.place - 1, piece.place + 1));
    }

    [Fact]
    public void ThePreferredHaveAPlaceOfTheirOwnAndNoMore()
    {
        Add("a");
        Add("b");
        Add("c");
        WaitFor(begun: 2);
        Add("p", isPreferred: true);
        Add("q", isPreferred: true);
        WaitFor(begun: 3);
        Assert.Equal("p", _begun.Last());
        Assert.Equal(2, _queue.Waiting);
        _mayEnd.Release(5);
        WaitFor(begun: 5);
    }

    [Fact]
    public void APreferredOneThatHangsHoldsNobodyUp()
    {
        var hangs = new SemaphoreSlim(0);
        _open.AddCount();
        _queue.Add(new Piece(this, "hangs", hangs), isPreferred: true);
        WaitFor(begun: 1);
        Add("a");
        Add("b");
        WaitFor(begun: 3);
        hangs.Release();
    }

    [Fact]
    public void AHigherLimitCountsAtOnceAndALowerOneByAndBy()
    {
        for (int i = 0; i < 8; i++)
        {
            Add($"{i}");
        }

        WaitFor(begun: 2);
        _queue.Limit = 4;
        WaitFor(begun: 4);
        _queue.Limit = 1;
        _mayEnd.Release(3);
        PoolerRig.WaitUntil(() => _mayEnd.CurrentCount == 0, "three have ended");
        Assert.Equal(4, _queue.Waiting);
        _mayEnd.Release();
        WaitFor(begun: 5);
    }

    /// <summary>Its threads are asleep when the limit sinks: whoever is called and is too many leaves, and another takes the piece.</summary>
    [Fact]
    public void OneThatIsTooManyPassesItsCallOn()
    {
        _queue.Limit = 4;
        for (int i = 0; i < 4; i++)
        {
            Add($"{i}");
        }

        WaitFor(begun: 4);
        _mayEnd.Release(4);
        PoolerRig.WaitUntil(() => _open.CurrentCount == 1, "all have ended");
        _queue.Limit = 1;
        for (int i = 5; i <= 8; i++)
        {
            Add($"{i}");
            WaitFor(begun: i);
            _mayEnd.Release();
            PoolerRig.WaitUntil(() => _open.CurrentCount == 1, "it has ended");
        }
    }

    [Fact]
    public void NoPieceIsLostInACrowd()
    {
        const int pieces = 20_000;
        int ran = 0, atOnce = 0, most = 0;
        Parallel.For(0, pieces, i => _queue.Add(new Act(() =>
        {
            int now = Interlocked.Increment(ref atOnce);
            InterlockedMax(ref most, now);
            Interlocked.Decrement(ref atOnce);
            Interlocked.Increment(ref ran);
        }), isPreferred: i % 7 == 0));
        PoolerRig.WaitUntil(() => Volatile.Read(ref ran) == pieces, "all have run");
        Assert.InRange(most, 1, 3);
    }

    /// <summary>Threads give up waiting at just the time at which more comes, again and again.</summary>
    [Fact]
    public void NoPieceIsLostWhileThreadsEnd()
    {
        var queue = new OffloadQueue(2, patience: 0.0002);
        for (int i = 0; i < 3000; i++)
        {
            var ran = new ManualResetEventSlim();
            queue.Add(new Act(ran.Set), isPreferred: i % 3 == 0);
            Assert.True(ran.Wait(RawPeer.Patience, TestContext.Current.CancellationToken), $"piece {i} was lost");
            Thread.SpinWait(i % 200 * 60); // Around the time a thread waits.
        }

        Assert.Equal(0, queue.Waiting);
    }

    private static void InterlockedMax(ref int most, int now)
    {
        for (int seen = Volatile.Read(ref most); now > seen; seen = Volatile.Read(ref most))
        {
            Interlocked.CompareExchange(ref most, now, seen);
        }
    }

    private void Add(string name, bool isPreferred = false)
    {
        _open.AddCount();
        _queue.Add(new Piece(this, name, _mayEnd), isPreferred);
    }

    private void WaitFor(int begun) => PoolerRig.WaitUntil(() => _begun.Count >= begun, $"{begun} pieces have begun");

    private sealed class Piece(OffloadQueueTests test, string name, SemaphoreSlim mayEnd) : IThreadPoolWorkItem
    {
        public void Execute()
        {
            test._begun.Enqueue(name);
            mayEnd.Wait(RawPeer.Patience);
            test._open.Signal();
        }
    }

    private sealed class Act(Action act) : IThreadPoolWorkItem
    {
        public void Execute() => act();
    }
}
