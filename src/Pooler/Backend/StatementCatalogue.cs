namespace Pooler.Backend;

/// <summary>
/// The prepared statements of the process, by text, declared parameter types and identity, under one short lock that is taken
/// only when a statement is prepared or forgotten. Those that no client and no server means are kept, the latest used first,
/// as long as the budget allows.
/// </summary>
internal sealed class StatementCatalogue
{
    // What a name costs its client beside its letters.
    private const int NameOverhead = 96;

    private readonly Lock _lock = new();
    private readonly HashSet<PreparedStatement> _statements = new(StatementComparer.Instance);
    private readonly HashSet<PreparedStatement>.AlternateLookup<StatementText> _lookup;
    private PreparedStatement? _newestUnused, _oldestUnused;
    private long _bytes, _lastId;
    private int _unused;

    public StatementCatalogue() => _lookup = _statements.GetAlternateLookup<StatementText>();

    /// <summary>
    /// The statement of a Parse message, known or new, for one more name of a client. Null when the budget has no room for it.
    /// </summary>
    public PreparedStatement? Name(StatementIdentity identity, ReadOnlySpan<byte> body, int nameLength, long budget)
    {
        var text = new StatementText(identity, body);
        lock (_lock)
        {
            bool isKnown = _lookup.TryGetValue(text, out PreparedStatement? statement);
            statement ??= new PreparedStatement(++_lastId, identity, body, text.Hash);
            if (isKnown)
            {
                Use(statement);
            }

            int cost = (isKnown ? 0 : statement.Bytes) + NameCost(nameLength);
            while (_bytes + cost > budget && _oldestUnused != null)
            {
                Evict(_oldestUnused);
            }

            if (_bytes + cost > budget)
            {
                UnuseIfFree(statement, isKnown);
                return null;
            }

            _bytes += cost;
            statement.Clients++;
            if (!isKnown)
            {
                _statements.Add(statement);
            }

            return statement;
        }
    }

    /// <summary>A client's name for it is gone.</summary>
    public void Unname(PreparedStatement statement, int nameLength)
    {
        lock (_lock)
        {
            _bytes -= NameCost(nameLength);
            statement.Clients--;
            UnuseIfFree(statement, isKnown: true);
        }
    }

    /// <summary>A server is given it; somebody else (a client's name) holds it too.</summary>
    public void Hold(PreparedStatement statement)
    {
        lock (_lock)
        {
            statement.Servers++;
        }
    }

    /// <summary>A server holds it no more.</summary>
    public void LetGo(PreparedStatement statement)
    {
        lock (_lock)
        {
            statement.Servers--;
            UnuseIfFree(statement, isKnown: true);
        }
    }

    /// <summary>
    /// The most used of one identity, the first of them the most, each taken as by <see cref="Hold"/>; not on an I/O thread.
    /// <paramref name="bytes"/> bounds them too.
    /// </summary>
    public PreparedStatement[] TakeHottest(StatementIdentity identity, int count, long bytes)
    {
        List<PreparedStatement> taken = [];
        foreach (PreparedStatement statement in List().Where(p => p.Uses > 0 && p.Identity == identity).OrderByDescending(static p => p.Uses).Take(count))
        {
            bytes -= statement.Bytes;
            if (bytes >= 0 && TryHold(statement))
            {
                taken.Add(statement);
            }
        }

        return [.. taken];
    }

    /// <summary>Statements known, those of them nobody uses, and the bytes of all with the names of clients.</summary>
    public (int Statements, int Unused, long Bytes) Measure()
    {
        lock (_lock)
        {
            return (_statements.Count, _unused, _bytes);
        }
    }

    /// <summary>A copy of the list, for the console; not on an I/O thread.</summary>
    public PreparedStatement[] List()
    {
        lock (_lock)
        {
            return [.. _statements];
        }
    }

    private bool TryHold(PreparedStatement statement)
    {
        lock (_lock)
        {
            if (!_statements.Contains(statement))
            {
                return false; // Evicted since it was listed.
            }

            Use(statement);
            statement.Servers++;
            return true;
        }
    }

    private static int NameCost(int nameLength) => NameOverhead + nameLength;

    /// <summary>Takes it from the list of unused ones.</summary>
    private void Use(PreparedStatement statement)
    {
        if (statement.Clients > 0 || statement.Servers > 0)
        {
            return;
        }

        if (statement.Newer == null)
        {
            _newestUnused = statement.Older;
        }
        else
        {
            statement.Newer.Older = statement.Older;
        }

        if (statement.Older == null)
        {
            _oldestUnused = statement.Newer;
        }
        else
        {
            statement.Older.Newer = statement.Newer;
        }

        statement.Newer = statement.Older = null;
        _unused--;
    }

    private void UnuseIfFree(PreparedStatement statement, bool isKnown)
    {
        if (!isKnown || statement.Clients > 0 || statement.Servers > 0)
        {
            return;
        }

        statement.Older = _newestUnused;
        if (_newestUnused != null)
        {
            _newestUnused.Newer = statement;
        }

        _newestUnused = statement;
        _oldestUnused ??= statement;
        _unused++;
    }

    private void Evict(PreparedStatement statement)
    {
        Use(statement);
        _statements.Remove(statement);
        _bytes -= statement.Bytes;
    }

    private readonly ref struct StatementText(StatementIdentity identity, ReadOnlySpan<byte> body)
    {
        public readonly StatementIdentity Identity = identity;
        public readonly ReadOnlySpan<byte> Body = body;
        public readonly int Hash = HashOf(identity, body);

        private static int HashOf(StatementIdentity identity, ReadOnlySpan<byte> body)
        {
            var hash = default(HashCode);
            hash.Add(identity);
            hash.AddBytes(body);
            return hash.ToHashCode();
        }
    }

    private sealed class StatementComparer : IEqualityComparer<PreparedStatement>, IAlternateEqualityComparer<StatementText, PreparedStatement>
    {
        public static readonly StatementComparer Instance = new();

        public bool Equals(PreparedStatement? x, PreparedStatement? y) => ReferenceEquals(x, y);

        public int GetHashCode(PreparedStatement statement) => statement.Hash;

        public bool Equals(StatementText text, PreparedStatement statement) =>
            text.Hash == statement.Hash && text.Identity == statement.Identity && text.Body.SequenceEqual(statement.Body);

        public int GetHashCode(StatementText text) => text.Hash;

        public PreparedStatement Create(StatementText text) => throw new NotSupportedException();
    }
}
