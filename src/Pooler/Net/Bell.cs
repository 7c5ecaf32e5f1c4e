namespace Pooler.Net;

/// <summary>Wakes threads that sleep on it, one for each call: a semaphore of one system call on either side (futex(2)).</summary>
internal sealed class Bell
{
    // Calls that nobody has heard yet. The kernel knows it by its address.
    private readonly int[] _calls = GC.AllocateArray<int>(1, pinned: true);

    public void Ring()
    {
        Interlocked.Increment(ref _calls[0]);
        Syscalls.FutexWake(_calls);
    }

    /// <summary>False when nobody has called for so long.</summary>
    public bool Wait(TimeSpan patience)
    {
        while (true)
        {
            int calls = Volatile.Read(ref _calls[0]);
            if (calls == 0 && Syscalls.FutexWait(_calls, 0, patience) == Syscalls.ETIMEDOUT)
            {
                return false;
            }

            if (calls > 0 && Interlocked.CompareExchange(ref _calls[0], calls - 1, calls) == calls)
            {
                return true;
            }
        }
    }
}
