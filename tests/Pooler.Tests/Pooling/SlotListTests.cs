using Pooler.Pooling;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Pooling;

/// <summary>Which idle server is lent next: against a list that is searched from its end.</summary>
[Collection(IoThreads.Name)]
public sealed class SlotListTests
{
    private const long Rest = 200;

    [Fact]
    public void TheLastThatHasRestedOrForTheSameClientTheLast()
    {
        using var rig = new PoolerRig();
        _ = rig.Client(); // Makes the pool.
        rig.On(() =>
        {
            var random = new Random(11);
            var list = new SlotList();
            var expected = new List<ServerSlot>();
            var free = new Stack<ServerSlot>(Enumerable.Range(0, 12).Select(_ => new ServerSlot(rig.Pools, rig.Pool, 0, rig.Threads[0])));
            Waiter[] clients = [new Client(), new Client()];
            Waiter? last = null;
            int rested = 0, none = 0;
            long now = 1;
            for (int i = 0; i < 20_000; i++)
            {
                now += random.Next(4) == 0 ? random.Next(3) * Rest / 2 : random.Next(40);
                if (free.Count > 0 && random.Next(2) == 0)
                {
                    ServerSlot slot = free.Pop();
                    slot.IdleSince = now;
                    list.Push(slot);
                    expected.Add(slot);
                }
                else if (expected.Count > 0)
                {
                    ServerSlot? own = expected.FindLast(s => now - s.IdleSince >= Rest);
                    Waiter client = clients[random.Next(2)];
                    ServerSlot chosen = list.NextFor(client, now)!;
                    Assert.Same(client == last ? expected[^1] : own ?? expected[0], chosen);
                    last = client;
                    (rested, none) = own != null ? (rested + 1, none) : (rested, none + 1);
                    ServerSlot taken = random.Next(3) > 0 ? chosen : expected[random.Next(expected.Count)];
                    list.Remove(taken);
                    expected.Remove(taken);
                    free.Push(taken);
                }

                Assert.Equal((expected.Count, expected.FirstOrDefault(), expected.LastOrDefault()), (list.Count, list.Oldest, list.Newest));
            }

            Assert.True(rested > 1000 && none > 1000, $"both must have been tried: {rested}, {none}");
            return 0;
        });
    }

    private sealed class Client : Waiter
    {
        internal override void Wake()
        {
        }
    }
}
