namespace Pooler.Sql;

/// <summary>Values by name, found in the bytes of a text without making anything of them. Built once, then only read.</summary>
internal sealed class NameTable<T>
    where T : struct
{
    private readonly Entry[] _entries;

    /// <param name="entries">Names as the catalogue writes them: those without quotes are in lower case.</param>
    public NameTable(IReadOnlyDictionary<string, T> entries)
    {
        int size = 16;
        while (size < entries.Count * 2)
        {
            size *= 2;
        }

        _entries = new Entry[size];
        foreach ((string name, T value) in entries)
        {
            byte[] bytes = System.Text.Encoding.UTF8.GetBytes(name);
            ulong hash = NameHash.Of(bytes);
            int slot = SlotOf(hash);
            while (_entries[slot].Name != null)
            {
                slot = (slot + 1) & (size - 1);
            }

            _entries[slot] = new Entry(hash, bytes, value);
        }
    }

    /// <summary>The value of a name that is as the catalogue writes it.</summary>
    public T Find(ReadOnlySpan<byte> name) => Find(name, NameHash.Of(name), isFolded: false);

    /// <summary>The value of a name; the default if there is none.</summary>
    /// <param name="hash">Its hash, of the lower case when it is to be folded.</param>
    /// <param name="isFolded">Whether capital letters stand for small ones: the name has no quotes.</param>
    public T Find(ReadOnlySpan<byte> name, ulong hash, bool isFolded)
    {
        Entry[] entries = _entries;
        for (int slot = SlotOf(hash); ; slot = (slot + 1) & (entries.Length - 1))
        {
            ref readonly Entry entry = ref entries[slot];
            if (entry.Name == null)
            {
                return default;
            }

            if (entry.Hash == hash && (isFolded ? IsFolded(name, entry.Name) : name.SequenceEqual(entry.Name)))
            {
                return entry.Value;
            }
        }
    }

    private int SlotOf(ulong hash) => (int)(hash ^ (hash >> 32)) & (_entries.Length - 1);

    private static bool IsFolded(ReadOnlySpan<byte> name, byte[] lower)
    {
        if (name.Length != lower.Length)
        {
            return false;
        }

        for (int i = 0; i < lower.Length; i++)
        {
            if (NameHash.Fold(name[i]) != lower[i])
            {
                return false;
            }
        }

        return true;
    }

    private readonly record struct Entry(ulong Hash, byte[]? Name, T Value);
}
