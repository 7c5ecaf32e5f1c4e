namespace Pooler.Cluster;

/// <summary>
/// Fingerprints of statements, by any thread and without a lock: a bounded set in which a new one may push out an old one. Zero is
/// never in it.
/// </summary>
internal sealed class FingerprintSet
{
    private const int Places = 4, Size = 4096;

    private readonly ulong[] _entries = new ulong[Size];
    private uint _turn;
    private int _any;

    public bool Contains(ulong fingerprint)
    {
        if (Volatile.Read(ref _any) == 0 || fingerprint == 0)
        {
            return false;
        }

        int first = First(fingerprint);
        for (int i = 0; i < Places; i++)
        {
            if (Volatile.Read(ref _entries[first + i]) == fingerprint)
            {
                return true;
            }
        }

        return false;
    }

    public void Add(ulong fingerprint)
    {
        if (Contains(fingerprint))
        {
            return;
        }

        int first = First(fingerprint), place = 0;
        while (place < Places && Volatile.Read(ref _entries[first + place]) != 0)
        {
            place++;
        }

        place = place < Places ? place : (int)(Interlocked.Increment(ref _turn) % Places);
        Volatile.Write(ref _entries[first + place], fingerprint);
        Volatile.Write(ref _any, 1);
    }

    private static int First(ulong fingerprint) => (int)((fingerprint ^ (fingerprint >> 32)) % (Size / Places)) * Places;
}
