using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Pooling;

/// <summary>Real pools over real I/O threads; the waiters are the test's.</summary>
[Collection(IoThreads.Name)]
public sealed class PoolsTests
{
    /// <summary>An inline hand-over would overflow the stack: each grant finds its waiter gone and gives the server to the next.</summary>
    [Fact]
    public void AHundredThousandGrantsToWaitersThatHaveGone()
    {
        const int Count = 100_000;
        using var rig = new PoolerRig();
        RawPeer client = rig.Client();
        rig.WaitForIdleServer();
        IoThread thread = rig.Threads[0];
        int returned = 0;
        int passed = rig.On(() =>
        {
            ServerSlot slot = rig.Pools.Acquire(rig.Pool, new GoneWaiter(rig, static () => { }), thread)!;
            int immediate = 0;
            for (int i = 0; i < Count; i++)
            {
                immediate += rig.Pools.Acquire(rig.Pool, new GoneWaiter(rig, () => returned++), thread) == null ? 0 : 1;
            }

            slot.TakeBack();
            return immediate;
        });
        Assert.Equal(0, passed);
        rig.WaitForIdleServer();
        Assert.Equal(Count, rig.On(() => returned));
        Serve(rig, client, rig.Postgres.Next());
    }

    /// <summary>They leave the queue before anything is granted.</summary>
    [Fact]
    public void AHundredThousandWaitersThatLeaveTheQueue()
    {
        const int Count = 100_000;
        using var rig = new PoolerRig();
        RawPeer client = rig.Client();
        rig.WaitForIdleServer();
        IoThread thread = rig.Threads[0];
        rig.On(() =>
        {
            ServerSlot slot = rig.Pools.Acquire(rig.Pool, new GoneWaiter(rig, static () => { }), thread)!;
            GoneWaiter[] waiters = [.. Enumerable.Range(0, Count).Select(_ => new GoneWaiter(rig, static () => Assert.Fail("granted")))];
            Array.ForEach(waiters, w => Assert.Null(rig.Pools.Acquire(rig.Pool, w, thread)));
            Assert.Equal(Count, rig.Pool.Waiting);
            var random = new Random(7);
            random.Shuffle(waiters);
            Array.ForEach(waiters, w => Assert.True(rig.Pools.Leave(w)));
            Array.ForEach(waiters, w => Assert.True(rig.Pools.Leave(w)));
            Assert.Equal(0, rig.Pool.Waiting);
            slot.TakeBack();
            return true;
        });
        rig.WaitForIdleServer();
        Serve(rig, client, rig.Postgres.Next());
    }

    /// <summary>Sessions whose clients hang up in the batch in which the server comes free.</summary>
    [Fact]
    public void ManySessionsThatLeaveWhileTheyAreGranted()
    {
        using var rig = new PoolerRig();
        RawPeer first = rig.Client(), server = rig.Postgres.Next();
        for (int round = 0; round < 5; round++)
        {
            first.Send(Wire.Query("hold"));
            server.Expect(Wire.Query("hold"));
            RawPeer[] waiting = [.. Enumerable.Range(0, 60).Select(_ => rig.Client())];
            Array.ForEach(waiting, static w => w.Send(Wire.Query("never")));
            rig.WaitFor(static p => p.Waiting == 60, "all wait");
            using (rig.Hold())
            {
                server.Send(Wire.Answer("hold"));
                Array.ForEach(waiting, static w => w.Dispose());
            }

            first.Expect(Wire.Answer("hold"));
            rig.WaitFor(static p => p.Waiting == 0, "nobody waits");
            AnswerUntilIdle(rig, server);
        }

        Serve(rig, first, server);
        Assert.Equal(1, rig.Postgres.Logins);
    }

    /// <summary>Waiters of several threads come, leave and give back as fast as they can; the servers move between them.</summary>
    [Fact]
    public void NoSlotIsLostBetweenThreads()
    {
        using var rig = new PoolerRig("default_pool_size = 3", threads: 3);
        RawPeer client = rig.Client();
        rig.Postgres.Next();
        rig.WaitForIdleServer();
        int open = 0, grants = 0;
        for (int i = 0; i < 3; i++)
        {
            IoThread thread = rig.Threads[i];
            for (int n = 0; n < 5; n++)
            {
                Interlocked.Increment(ref open);
                var walker = new Walker(rig, thread, 2_000, seed: (i * 100) + n, () => Interlocked.Increment(ref grants), () => Interlocked.Decrement(ref open));
                thread.Post(walker.Step);
            }
        }

        PoolerRig.WaitUntil(() => Volatile.Read(ref open) == 0, "all are through");
        rig.WaitFor(static p => p.Waiting == 0 && p.IdleCount == p.Slots.Count && p.Opening == 0, "all servers idle");
        Assert.InRange(grants, 1, 15 * 2_000);
        Assert.InRange(rig.Pool.Slots.Count, 1, 3);
        Assert.Equal(rig.Pool.Slots.Count, rig.Pool.Database.Servers);
    }

    [Fact]
    public void WaitersAreServedInOrder()
    {
        using var rig = new PoolerRig();
        rig.Client();
        rig.WaitForIdleServer();
        IoThread thread = rig.Threads[0];
        List<int> order = [];
        rig.On(() =>
        {
            ServerSlot slot = rig.Pools.Acquire(rig.Pool, new GoneWaiter(rig, static () => { }), thread)!;
            for (int i = 0; i < 100; i++)
            {
                int number = i;
                rig.Pools.Acquire(rig.Pool, new GoneWaiter(rig, () => order.Add(number)), thread);
            }

            slot.TakeBack();
            return true;
        });
        rig.WaitForIdleServer();
        Assert.Equal(Enumerable.Range(0, 100), rig.On(() => order));
    }

    [Fact]
    public void PauseHoldsBackAndResumeServes()
    {
        using var rig = new PoolerRig();
        RawPeer client = rig.Client(), server = rig.Postgres.Next();
        rig.WaitForIdleServer();
        rig.Pools.Pause(null);
        Assert.Equal((byte)'X', server.ReceiveToEnd()[0]);
        client.Send(Wire.Query("a"));
        rig.WaitFor(static p => p.Waiting == 1 && p.Slots.Count == 0, "the client waits");
        rig.Pools.Resume(null, IoThread.Clock());
        server = rig.Postgres.Next();
        server.Expect(Wire.Query("a"));
        server.Send(Wire.Answer("a"));
        client.Expect(Wire.Answer("a"));
    }

    private static void Serve(PoolerRig rig, RawPeer client, RawPeer server)
    {
        client.Send(Wire.Query("still there"));
        server.Expect(Wire.Query("still there"));
        server.Send(Wire.Answer("yes"));
        client.Expect(Wire.Answer("yes"));
        rig.WaitForIdleServer();
    }

    /// <summary>A client that left may have had its request sent before it was known to be gone: such are answered.</summary>
    private static void AnswerUntilIdle(PoolerRig rig, RawPeer server)
    {
        PoolerRig.WaitUntil(() =>
        {
            rig.Turn();
            if (server.Available > 0)
            {
                server.ReceiveFrame();
                server.Send(Wire.Answer("nobody's"));
                return false;
            }

            bool isIdle = false;
            rig.Pools.Read(_ => isIdle = rig.Pool.IdleCount == 1 && rig.Pool.Waiting == 0);
            return isIdle;
        }, "the server is idle");
    }

    /// <summary>A waiter whose client has gone: at its grant it gives the server back, as a session's last act does.</summary>
    private sealed class GoneWaiter(PoolerRig rig, Action granted) : Waiter
    {
        private readonly Item _item = new();

        internal override void Wake()
        {
            _item.Act = () =>
            {
                granted();
                Assert.False(rig.Pools.Leave(this));
                Slot!.TakeBack();
            };
            Thread!.Schedule(_item);
        }

        private sealed class Item : RunItem
        {
            public Action? Act { get; set; }

            internal override void Run() => Act!();
        }
    }

    /// <summary>Asks, and when it has waited: sometimes leaves; when granted: gives back at once or a turn later. Again and again.</summary>
    private sealed class Walker(PoolerRig rig, IoThread thread, int rounds, int seed, Action granted, Action ended) : Waiter
    {
        private readonly Random _random = new(seed);
        private int _left = rounds;

        public void Step()
        {
            if (_left-- == 0)
            {
                ended();
            }
            else if (rig.Pools.Acquire(rig.Pool, this, thread) is { } slot)
            {
                Use(slot);
            }
            else if (_random.Next(3) == 0)
            {
                thread.Post(LeaveOrGiveBack);
            }
        }

        internal override void Wake() => thread.Post(() =>
        {
            if (State == WaiterState.Granted)
            {
                State = WaiterState.Idle;
                Use(Slot!);
            }
        });

        private void LeaveOrGiveBack()
        {
            // Only who still waits leaves: who was granted meanwhile is on its way to Use.
            if (State is WaiterState.Waiting or WaiterState.Bound && rig.Pools.Leave(this))
            {
                thread.Post(Step);
            }
        }

        private void Use(ServerSlot slot)
        {
            granted();
            if (!slot.Server.Socket.Owner.IsCurrent)
            {
                throw new InvalidOperationException("granted on a foreign thread");
            }

            if (_random.Next(2) == 0)
            {
                slot.TakeBack();
                thread.Post(Step);
            }
            else
            {
                thread.Post(() =>
                {
                    slot.TakeBack();
                    Step();
                });
            }
        }
    }
}
