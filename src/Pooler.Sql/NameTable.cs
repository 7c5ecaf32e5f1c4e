namespace Pooler.Sql;

/// <summary>Values by name, found in the bytes of a text without making anything of them. Built once, then only read.</summary>
internal sealed class NameTable<T>
    where T : struct
{
    private readonly Entry[] _entries;
    private readonly byte[]?[] _names;

    /// <param name="entries">Names as the catalogue writes them: those without quotes are in lower case.</param>
    public NameTable(IEnumerable<KeyValuePair<string, T>> entries)
    {
        KeyValuePair<string, T>[] all = [.. entries];
        int size = 16;
        while (size < all.Length * 3)
        {
            size *= 2;
        }

        _entries = new Entry[size];
        _names = new byte[size][];
        foreach ((string name, T value) in all)
        {
            byte[] bytes = System.Text.Encoding.UTF8.GetBytes(name);
            ulong hash = NameHash.Of(bytes, isFolded: false);
            int slot = (int)hash & (size - 1);
            while (_entries[slot].Length != 0)
            {
                slot = (slot + 1) & (size - 1);
            }

            _entries[slot] = new Entry(hash, bytes.Length, value);
            _names[slot] = bytes;
        }
    }

    /// <summary>The value of a name; the default if there is none.</summary>
    /// <param name="name">The name as it is written.</param>
    /// <param name="hash">Its hash, of the lower case when it is to be folded.</param>
    /// <param name="isFolded">Whether capital letters stand for small ones: the name has no quotes.</param>
    public T Find(ReadOnlySpan<byte> name, ulong hash, bool isFolded)
    {
        Entry[] entries = _entries;
        for (int slot = (int)hash & (entries.Length - 1); ; slot = (slot + 1) & (entries.Length - 1))
        {
            ref readonly Entry entry = ref entries[slot];
            if (entry.Length == 0)
            {
                return default;
            }

            if (entry.Hash == hash && entry.Length == name.Length && (NameHash.IsWhole(name.Length) || IsSame(name, _names[slot], isFolded)))
            {
                return entry.Value;
            }
        }
    }

    private static bool IsSame(ReadOnlySpan<byte> name, ReadOnlySpan<byte> entry, bool isFolded)
    {
        if (!isFolded)
        {
            return name.SequenceEqual(entry);
        }

        for (int i = 0; i < entry.Length; i++)
        {
            if (NameHash.Fold(name[i]) != entry[i])
            {
                return false;
            }
        }

        return true;
    }

    private readonly record struct Entry(ulong Hash, int Length, T Value);
}
