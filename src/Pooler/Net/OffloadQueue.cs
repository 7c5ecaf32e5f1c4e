using System.Collections.Concurrent;

namespace Pooler.Net;

/// <summary>
/// Work of which only so much runs at once, on threads of its own: what a storm of clients asks for is computed as fast as the processors
/// can, and the thread pool is there for everybody else. First come, first served, in two lanes: the preferred one has a thread of
/// its own, so that neither can shut the other out. Any thread may add. Its length is bounded by its callers: each waits for its piece
/// before it adds another. Pieces are short and many, and .NET's thread pool wakes and locks several times for one: these threads
/// are woken by one system call and sleep by another, and end when there is nothing to do.
/// </summary>
/// <param name="patience">Seconds a thread waits for more before it ends.</param>
internal sealed class OffloadQueue(int limit, double patience = 5)
{
    private readonly Lane _ordinary = new(limit, TimeSpan.FromSeconds(patience)), _preferred = new(1, TimeSpan.FromSeconds(patience));

    /// <summary>Most pieces that run at once, the preferred one not counted; at least 1.</summary>
    public int Limit
    {
        set => _ordinary.SetLimit(value);
    }

    /// <summary>Pieces that wait for a place.</summary>
    public int Waiting => _ordinary.Waiting + _preferred.Waiting;

    /// <summary>A piece throws nothing: nobody would be there to catch it.</summary>
    public void Add(IThreadPoolWorkItem work, bool isPreferred = false) => (isPreferred ? _preferred : _ordinary).Add(work);

    private sealed class Lane(int limit, TimeSpan patience)
    {
        private readonly ConcurrentQueue<IThreadPoolWorkItem> _waiting = new();

        // Sleepers are counted before they look for the last time, and taken off that count by whoever calls one: a call each.
        private readonly Bell _bell = new();
        private int _limit = limit, _threads, _sleepers;

        public int Waiting => _waiting.Count;

        public void Add(IThreadPoolWorkItem work)
        {
            _waiting.Enqueue(work);
            Interlocked.MemoryBarrier(); // What was added is seen by him who lies down, or his sleep by us.
            Begin();
        }

        public void SetLimit(int limit)
        {
            Volatile.Write(ref _limit, limit);
            for (int pieces = Math.Min(limit, _waiting.Count); pieces > 0; pieces--)
            {
                Begin();
            }
        }

        /// <summary>Wakes a thread or makes one, if one may be added: else whoever is through with his piece finds what waits.</summary>
        private void Begin()
        {
            if (TryTake(ref _sleepers, least: 0))
            {
                _bell.Ring();
            }
            else if (TryAddThread())
            {
                StartThread();
            }
        }

        private void StartThread()
        {
            try
            {
                new Thread(Work) { IsBackground = true, Name = "work" }.Start();
            }
            catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
            {
                // A limit of processes: one of the pool's threads takes the place.
                ThreadPool.UnsafeQueueUserWorkItem(static lane => lane.Work(), this, preferLocal: false);
            }
        }

        private void Work()
        {
            do
            {
                while (Volatile.Read(ref _threads) <= Volatile.Read(ref _limit) && _waiting.TryDequeue(out IThreadPoolWorkItem? work))
                {
                    work.Execute();
                }

                if (TryTake(ref _threads, least: Volatile.Read(ref _limit)))
                {
                    if (!_waiting.IsEmpty)
                    {
                        Begin(); // It was this one's call, and is another's to take.
                    }

                    return;
                }
            }
            while (Sleep());
        }

        /// <summary>False: nothing has come for long, and the thread's place is given back.</summary>
        private bool Sleep()
        {
            Interlocked.Increment(ref _sleepers);
            if (!_waiting.IsEmpty && TryTake(ref _sleepers, least: 0))
            {
                return true;
            }

            while (!_bell.Wait(patience))
            {
                // Whoever took this sleeper off the count calls one: that call must not be left for nobody.
                if (TryTake(ref _sleepers, least: 0))
                {
                    Interlocked.Decrement(ref _threads);
                    return !_waiting.IsEmpty && TryAddThread(); // Somebody may have come who saw no place.
                }
            }

            return true;
        }

        private bool TryAddThread()
        {
            for (int threads = Volatile.Read(ref _threads); threads < Volatile.Read(ref _limit);)
            {
                int seen = Interlocked.CompareExchange(ref _threads, threads + 1, threads);
                if (seen == threads)
                {
                    return true;
                }

                threads = seen;
            }

            return false;
        }

        /// <summary>One less, if there are more than that.</summary>
        private static bool TryTake(ref int count, int least)
        {
            for (int now = Volatile.Read(ref count); now > least;)
            {
                int seen = Interlocked.CompareExchange(ref count, now - 1, now);
                if (seen == now)
                {
                    return true;
                }

                now = seen;
            }

            return false;
        }
    }
}
