using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Benchmarks.DataPath;

/// <summary>Many leases in one go on the I/O thread, so that the way there is no part of the figure.</summary>
internal sealed class LeaseBatch(IoThread thread, Pools pools, ServerPool pool, int count, bool overQueue) : RunItem, IDisposable
{
    private readonly SemaphoreSlim _done = new(0);
    private readonly BenchWaiter _first = new(), _second = new();
    private Exception? _fault;

    /// <summary>Has the pool open its server.</summary>
    public void Prepare()
    {
        using var granted = new ManualResetEventSlim();
        _first.Woken = granted.Set;
        thread.Post(() =>
        {
            if (pools.Acquire(pool, _first, thread) != null)
            {
                granted.Set();
            }
        });
        if (!granted.Wait(TimeSpan.FromSeconds(10)) || _first.Slot == null)
        {
            throw new InvalidOperationException("the pool got no server: " + _first.Error?.Message);
        }

        _first.Woken = null;
        thread.Post(() =>
        {
            pools.Release(_first.Slot);
            _done.Release();
        });
        _done.Wait();
    }

    public void Dispose() => _done.Dispose();

    public int RunOnce()
    {
        thread.Post(this);
        _done.Wait();
        return _fault == null ? count : throw new InvalidOperationException("the lease failed", _fault);
    }

    internal override void Run()
    {
        try
        {
            if (overQueue)
            {
                HandOver();
            }
            else
            {
                for (int i = 0; i < count; i++)
                {
                    pools.Release(pools.Acquire(pool, _first, thread)!);
                }
            }
        }
        catch (Exception e)
        {
            _fault = e;
        }

        _done.Release();
    }

    private void HandOver()
    {
        (BenchWaiter waiting, BenchWaiter next) = (_first, _second);
        ServerSlot slot = pools.Acquire(pool, waiting, thread)!;
        for (int i = 0; i < count; i++)
        {
            if (pools.Acquire(pool, waiting, thread) != null)
            {
                throw new InvalidOperationException("two servers where one is allowed");
            }

            pools.Release(slot);
            slot = waiting.Slot!;
            waiting.State = WaiterState.Idle;
            (waiting, next) = (next, waiting);
        }

        pools.Release(slot);
    }

    private sealed class BenchWaiter : Waiter
    {
        public Action? Woken { get; set; }

        internal override void Wake() => Woken?.Invoke();
    }
}
