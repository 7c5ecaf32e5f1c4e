using System.Collections.Concurrent;

namespace Pooler.Net;

/// <summary>
/// Work for the thread pool of which only so much runs at once: what a storm of clients asks for is computed as fast as the processors
/// can, and the pool's threads are there for everybody else. First come, first served, in two lanes: the preferred one has a place of
/// its own, so that neither can shut the other out. Any thread may add. Its length is bounded by its callers: each waits for its piece
/// before it adds another.
/// </summary>
internal sealed class OffloadQueue(int limit)
{
    private readonly Lane _ordinary = new(limit), _preferred = new(1);

    /// <summary>Most pieces that run at once, the preferred one not counted; at least 1.</summary>
    public int Limit
    {
        set => _ordinary.SetLimit(value);
    }

    /// <summary>Pieces that wait for a place.</summary>
    public int Waiting => _ordinary.Waiting + _preferred.Waiting;

    public void Add(IThreadPoolWorkItem work, bool isPreferred = false) => (isPreferred ? _preferred : _ordinary).Add(work);

    private sealed class Lane(int limit) : IThreadPoolWorkItem
    {
        private readonly ConcurrentQueue<IThreadPoolWorkItem> _waiting = new();
        private int _limit = limit, _places;

        public int Waiting => _waiting.Count;

        public void Add(IThreadPoolWorkItem work)
        {
            _waiting.Enqueue(work);
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

        /// <summary>One piece: behind it all else that the thread pool has to do gets its turn.</summary>
        void IThreadPoolWorkItem.Execute()
        {
            try
            {
                if (_waiting.TryDequeue(out IThreadPoolWorkItem? work))
                {
                    work.Execute();
                }
            }
            finally
            {
                Interlocked.Decrement(ref _places);
                if (!_waiting.IsEmpty)
                {
                    Begin();
                }
            }
        }

        /// <summary>Takes a place, if one is free: else whoever gives one back finds what waits.</summary>
        private void Begin()
        {
            Interlocked.MemoryBarrier(); // What was added is seen by him, or his place by us.
            for (int places = Volatile.Read(ref _places); places < Volatile.Read(ref _limit);)
            {
                int seen = Interlocked.CompareExchange(ref _places, places + 1, places);
                if (seen == places)
                {
                    ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
                    return;
                }

                places = seen;
            }
        }
    }
}
