namespace Pooler.Backend;

/// <summary>
/// The record of which shared statements a server holds, and under which names, the latest used first. It says what will be when
/// all that was sent is done; who sends notes what errors undo.
/// </summary>
internal sealed class ServerStatements(StatementCatalogue catalogue)
{
    /// <summary>PostgreSQL looks at so many bytes of a statement's name (NAMEDATALEN).</summary>
    private const int NameLimit = 63;

    private readonly Dictionary<PreparedStatement, ServerStatement> _byStatement = [];
    private readonly Dictionary<byte[], ServerStatement> _byName = new(NameComparer.Instance);
    private ServerStatement? _newest;

    public int Count => _byStatement.Count;

    /// <summary>The statement used longest ago; null when there is none.</summary>
    public ServerStatement? Oldest { get; private set; }

    /// <summary>The server also holds names that are not ours (PREPARE in SQL, a text that is not shared): only our own are free then.</summary>
    public bool HasForeignNames { get; set; }

    /// <summary>Counts ReadyForQuery: what was used since the last one is of the same round.</summary>
    public long Round { get; set; }

    public ServerStatement? Find(PreparedStatement statement) => _byStatement.GetValueOrDefault(statement);

    /// <summary>By its name on this server, as PostgreSQL would find it.</summary>
    public ServerStatement? Find(ReadOnlySpan<byte> name) =>
        Count > 0 && _byName.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name[..Math.Min(name.Length, NameLimit)], out ServerStatement? found) ? found : null;

    /// <summary>The names in use, as a copy.</summary>
    public ServerStatement[] ToArray() => [.. _byStatement.Values];

    /// <summary>Notes that it will be there, under the client's own name for it if nobody else has that.</summary>
    public ServerStatement Add(PreparedStatement statement, byte[] wanted)
    {
        bool isFree = !HasForeignNames && wanted.Length is > 0 and <= NameLimit && !wanted.AsSpan().StartsWith("pooler_"u8) && !_byName.ContainsKey(wanted);
        var added = new ServerStatement(statement, isFree ? wanted : statement.OwnName);
        statement.UsualName = wanted;
        catalogue.Hold(statement);
        Restore(added);
        return added;
    }

    /// <summary>Notes that it was used just now.</summary>
    public void Touch(ServerStatement statement)
    {
        statement.Round = Round;
        if (_newest != statement)
        {
            Unlink(statement);
            Link(statement);
        }
    }

    /// <summary>Notes that it will be gone. Until <see cref="Forget"/> it may come back (<see cref="Restore"/>).</summary>
    public void Remove(ServerStatement statement)
    {
        if (_byStatement.GetValueOrDefault(statement.Statement) == statement)
        {
            _byStatement.Remove(statement.Statement);
            _byName.Remove(statement.Name);
            Unlink(statement);
        }
    }

    /// <summary>Its Close never ran: it is still there.</summary>
    public void Restore(ServerStatement statement)
    {
        _byStatement[statement.Statement] = statement;
        _byName[statement.Name] = statement;
        statement.Round = Round;
        Link(statement);
    }

    /// <summary>It is gone for good.</summary>
    public void Forget(ServerStatement statement)
    {
        Remove(statement);
        catalogue.LetGo(statement.Statement);
    }

    /// <summary>Whether it is in the record.</summary>
    public bool Holds(ServerStatement statement) => _byStatement.GetValueOrDefault(statement.Statement) == statement;

    /// <summary>The server has dropped all its statements, or is no more.</summary>
    public void Clear()
    {
        foreach (ServerStatement statement in _byStatement.Values)
        {
            catalogue.LetGo(statement.Statement);
        }

        _byStatement.Clear();
        _byName.Clear();
        _newest = Oldest = null;
        HasForeignNames = false;
    }

    /// <summary>The server has dropped all its statements, but some that it gets afterwards.</summary>
    public void ForgetAllBut(ReadOnlySpan<ServerStatement> kept)
    {
        foreach (ServerStatement statement in ToArray())
        {
            if (!kept.Contains(statement))
            {
                Forget(statement);
            }
        }

        HasForeignNames = false;
    }

    /// <summary>One of those used since the last ReadyForQuery has lost its plan; nobody says which.</summary>
    public void DoubtLatest()
    {
        for (ServerStatement? s = _newest; s != null && s.Round == Round; s = s.Older)
        {
            s.IsStale = true;
        }
    }

    private void Link(ServerStatement statement)
    {
        statement.Older = _newest;
        if (_newest != null)
        {
            _newest.Newer = statement;
        }

        _newest = statement;
        Oldest ??= statement;
    }

    private void Unlink(ServerStatement statement)
    {
        if (statement.Newer == null)
        {
            _newest = statement.Older;
        }
        else
        {
            statement.Newer.Older = statement.Older;
        }

        if (statement.Older == null)
        {
            Oldest = statement.Newer;
        }
        else
        {
            statement.Older.Newer = statement.Newer;
        }

        statement.Newer = statement.Older = null;
    }
}
