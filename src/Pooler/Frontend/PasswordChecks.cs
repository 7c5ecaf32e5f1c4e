using System.Collections.Concurrent;

namespace Pooler.Frontend;

/// <summary>
/// Password checks that block, on a few threads of their own: one that hangs takes neither an I/O thread nor one of the thread pool.
/// What is beyond them waits in order, each as long as its client does. Threads end when there is nothing to do.
/// </summary>
internal sealed class PasswordChecks(string name, int most)
{
    private readonly ConcurrentQueue<PasswordCheck> _queue = new();
    private int _threads;

    /// <summary>For the log.</summary>
    public string Name => name;

    /// <summary>From any I/O thread.</summary>
    public void Ask(PasswordCheck check)
    {
        _queue.Enqueue(check);
        Interlocked.MemoryBarrier();
        if (TryEnter())
        {
            new Thread(Work) { IsBackground = true, Name = name }.Start();
        }
    }

    private bool TryEnter()
    {
        int threads = Volatile.Read(ref _threads);
        while (threads < most)
        {
            int before = Interlocked.CompareExchange(ref _threads, threads + 1, threads);
            if (before == threads)
            {
                return true;
            }

            threads = before;
        }

        return false;
    }

    private void Work()
    {
        do
        {
            while (_queue.TryDequeue(out PasswordCheck? check))
            {
                check.Run();
            }

            Interlocked.Decrement(ref _threads);
        }
        while (!_queue.IsEmpty && TryEnter()); // Somebody may have come who saw no place.
    }
}
