using Pooler.Pooling;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Pooling;

/// <summary>Which idle server is the newest that has rested: against a list that is searched from its end.</summary>
[Collection(IoThreads.Name)]
public sealed class SlotListTests
{
    private const long Rest = 200;

    [Fact]
    public void TheNewestThatHasRestedWhateverCameAndWent()
    {
        using var rig = new PoolerRig();
        _ = rig.Client(); // Makes the pool.
        rig.On(() =>
        {
            var random = new Random(11);
            var list = new SlotList();
            var expected = new List<ServerSlot>();
            var free = new Stack<ServerSlot>(Enumerable.Range(0, 12).Select(_ => new ServerSlot(rig.Pools, rig.Pool, 0, rig.Threads[0])));
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
                    Assert.Same(own ?? expected[0], list.NewestRested(now));
                    (rested, none) = own != null ? (rested + 1, none) : (rested, none + 1);
                    ServerSlot taken = random.Next(3) > 0 ? list.NewestRested(now)! : expected[random.Next(expected.Count)];
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
}
