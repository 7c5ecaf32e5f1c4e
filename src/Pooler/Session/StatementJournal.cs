using Pooler.Backend;

namespace Pooler.Session;

/// <summary>
/// The changes that one batch of a client asks for, in the order in which the server does them, until its replies say that they
/// were done; an error undoes the rest (PostgreSQL skips to Sync). They are part of client's and server's record from the
/// moment they are sent, so that what follows in the same batch finds them.
/// </summary>
internal sealed class StatementJournal(ClientStatements client)
{
    private readonly List<StatementChange> _changes = [];
    private int _done;

    /// <summary>The name that the last message refused has used, if that is known.</summary>
    public KeyValuePair<byte[], PreparedStatement>? Failed { get; private set; }

    /// <summary>Changes sent and not yet seen done.</summary>
    public int Count => _changes.Count - _done;

    /// <summary>The next to be done.</summary>
    public StatementChange Oldest => _changes[_done];

    private IEnumerable<StatementChange> Open => _changes.Skip(_done);

    /// <summary>The server prepares it, ahead of its use.</summary>
    public void Prepares(ServerStatements record, ServerStatement there) => Note(StatementChange.What.Begin, record, there, null, null);

    /// <summary>The server closes it.</summary>
    public void Closes(ServerStatements record, ServerStatement there) => Note(StatementChange.What.End, record, there, null, null);

    /// <summary>The client gets a name for it; the server prepares it, if <paramref name="there"/> is given.</summary>
    public void Names(byte[] name, PreparedStatement statement, ServerStatements record, ServerStatement? there) =>
        Note(StatementChange.What.Begin, record, there, name, statement);

    /// <summary>The client's name goes.</summary>
    public void Unnames(byte[] name, PreparedStatement statement, ServerStatements record) => Note(StatementChange.What.End, record, null, name, statement);

    /// <summary>The client uses one of several names that it has for the same: an error must say this one.</summary>
    public void Uses(byte[] name, PreparedStatement statement, ServerStatements record) => Note(StatementChange.What.Use, record, null, name, statement);

    /// <summary>The server gets the first name that no other has.</summary>
    public void Keeps(ServerStatements record) => Note(StatementChange.What.Keep, record, null, null, null);

    /// <summary>What a server will have when the changes under way are done.</summary>
    public ServerStatement[] Pending(ServerStatements record) =>
        [.. Open.Where(change => change.IsBegin && change.Record == record).Select(static change => change.There).OfType<ServerStatement>()];

    /// <summary>The names that the client will have then.</summary>
    public byte[][] PendingNames() => [.. Open.Where(static change => change.IsBegin).Select(static change => change.Name).OfType<byte[]>()];

    /// <summary>The names that the client had before the changes under way: a message refused now came before them.</summary>
    public IEnumerable<KeyValuePair<byte[], PreparedStatement>> NamesBefore(IEnumerable<KeyValuePair<byte[], PreparedStatement>> now)
    {
        StatementChange[] first = [.. Open.Where(static change => change.Name != null && change.Kind != StatementChange.What.Use).DistinctBy(static change => change.Name!, NameComparer.Instance)];
        return now.ExceptBy(first.Select(static change => change.Name!), static pair => pair.Key, NameComparer.Instance)
            .Concat(first.Where(static change => change.IsEnd).Select(static change => KeyValuePair.Create(change.Name!, change.Statement!)));
    }

    /// <summary>The statement's name on the server, if its end there is under way.</summary>
    public byte[]? ClosingName(PreparedStatement statement) =>
        Open.FirstOrDefault(change => change.IsEnd && change.There?.Statement == statement).There?.Name;

    /// <summary>The server has refused a message. <paramref name="isNoted"/>: the oldest change was to come of it.</summary>
    public void NoteFailure(bool isNoted) =>
        Failed = isNoted && Oldest is { Name: { } name, Statement: { } statement } ? KeyValuePair.Create(name, statement) : null;

    /// <summary>The oldest was done.</summary>
    public void Confirm()
    {
        StatementChange change = _changes[_done++];
        if (change is { IsEnd: true, There: not null })
        {
            change.Record.Forget(change.There);
        }

        if (change is { IsEnd: true, Name: not null })
        {
            client.Forget(change.Name, change.Statement!);
        }

        if (_done == _changes.Count)
        {
            _changes.Clear();
            _done = 0;
        }
    }

    /// <summary>What was not seen done never was.</summary>
    public void Undo()
    {
        for (int i = _changes.Count - 1; i >= _done; i--)
        {
            Undo(_changes[i]);
        }

        _changes.Clear();
        _done = 0;
    }

    private void Undo(StatementChange change)
    {
        if (change is { IsEnd: true, There: not null })
        {
            change.Record.Restore(change.There);
        }
        else if (change is { IsBegin: true, There: not null } && change.Record.Holds(change.There))
        {
            change.Record.Forget(change.There);
        }

        if (change.Kind == StatementChange.What.Keep)
        {
            client.LetServerGo();
        }

        if (change.Name != null && change.Kind != StatementChange.What.Use)
        {
            client.Undo(change.Name, change.Statement!, change.IsEnd);
        }
    }

    private void Note(StatementChange.What kind, ServerStatements record, ServerStatement? there, byte[]? name, PreparedStatement? statement) =>
        _changes.Add(new StatementChange(kind, record, there, name, statement));
}
