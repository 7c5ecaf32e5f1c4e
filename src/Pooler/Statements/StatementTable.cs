using Pooler.Net;
using Pooler.Sql;

namespace Pooler.Statements;

/// <summary>
/// The statements that one I/O thread has seen, in bounded memory: what was not used for longest makes room. Belongs to its thread.
/// </summary>
internal sealed class StatementTable(IoThread thread, StatementLines lines, TraceQueue traces)
{
    private const int LongestText = 1024;

    private readonly Dictionary<ulong, StatementEntry> _entries = [];
    private StatementEntry? _newest, _oldest;

    public IoThread Thread => thread;

    public StatementLines Lines => lines;

    public TraceQueue Traces => traces;

    /// <summary>What is asked for at present; replaced by <see cref="Use"/>.</summary>
    public StatementSettings Settings { get; private set; } = StatementSettings.Off;

    /// <summary>Statements are watched. The one test on the data path while nobody wants to know of them.</summary>
    public bool IsOn { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Statements that made room for others since the start.</summary>
    public long Evicted { get; private set; }

    public int Count => _entries.Count;

    public void Use(StatementSettings settings)
    {
        Settings = settings;
        IsOn = settings.IsOn;
        if (!settings.IsOn)
        {
            Forget();
        }

        MakeRoom(keep: null);
    }

    /// <summary>The entry of a statement, made if there is none.</summary>
    /// <param name="salt">Tells database and user from others.</param>
    public StatementEntry Find(
        ulong fingerprint, ulong salt, string database, string user, ReadOnlySpan<byte> text, bool hasConformingStrings, TextEncoding encoding)
    {
        ulong key = fingerprint ^ salt;
        if (_entries.TryGetValue(key, out StatementEntry? entry))
        {
            if (entry.IsOf(fingerprint, database, user))
            {
                Touch(entry);
                return entry;
            }

            Remove(entry); // Two in 2^64.
        }

        Span<byte> masked = stackalloc byte[LongestText];
        int length = StatementText.Mask(text, hasConformingStrings, encoding, masked);
        entry = new StatementEntry(key, fingerprint, database, user, masked[..length].ToArray());
        Add(entry);
        return entry;
    }

    /// <summary>One that a client still goes by is used: it is in the table again if it was put out, or stands for the one that is there now.</summary>
    public StatementEntry Renew(StatementEntry entry)
    {
        if (entry.IsListed)
        {
            Touch(entry);
            return entry;
        }

        if (_entries.TryGetValue(entry.Key, out StatementEntry? present))
        {
            Touch(present);
            return present;
        }

        entry.Clear();
        Add(entry);
        return entry;
    }

    /// <summary>All entries, for the console; on this thread.</summary>
    public IReadOnlyList<StatementEntry> List() => [.. _entries.Values];

    /// <summary>Begins anew.</summary>
    public void Forget()
    {
        foreach (StatementEntry entry in _entries.Values)
        {
            entry.IsListed = false;
            entry.Newer = entry.Older = null;
        }

        _entries.Clear();
        _newest = _oldest = null;
        Bytes = 0;
    }

    private void Add(StatementEntry entry)
    {
        _entries.Add(entry.Key, entry);
        entry.IsListed = true;
        Bytes += entry.Bytes;
        PutInFront(entry);
        MakeRoom(entry);
    }

    private void MakeRoom(StatementEntry? keep)
    {
        while (Bytes > Settings.Budget && _oldest != null && _oldest != keep)
        {
            Remove(_oldest);
            Evicted++;
        }
    }

    private void Remove(StatementEntry entry)
    {
        TakeOut(entry);
        _entries.Remove(entry.Key);
        entry.IsListed = false;
        Bytes -= entry.Bytes;
    }

    private void Touch(StatementEntry entry)
    {
        if (entry != _newest)
        {
            TakeOut(entry);
            PutInFront(entry);
        }
    }

    private void PutInFront(StatementEntry entry)
    {
        entry.Older = _newest;
        if (_newest != null)
        {
            _newest.Newer = entry;
        }

        _newest = entry;
        _oldest ??= entry;
    }

    private void TakeOut(StatementEntry entry)
    {
        if (entry.Newer == null)
        {
            _newest = entry.Older;
        }
        else
        {
            entry.Newer.Older = entry.Older;
        }

        if (entry.Older == null)
        {
            _oldest = entry.Newer;
        }
        else
        {
            entry.Older.Newer = entry.Newer;
        }

        entry.Newer = entry.Older = null;
    }
}
