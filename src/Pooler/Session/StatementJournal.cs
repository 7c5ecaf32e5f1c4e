using Pooler.Backend;

namespace Pooler.Session;

/// <summary>
/// The changes that one batch of a client asks for, in the order in which the server does them, until its replies say that they
/// were done; an error undoes the rest (PostgreSQL skips to Sync). They are part of client's and server's record from the
/// moment they are sent, so that what follows in the same batch finds them.
/// </summary>
internal sealed class StatementJournal(ClientStatements client)
{
    private readonly List<Change> _changes = [];
    private int _done;

    /// <summary>Changes sent and not yet seen done.</summary>
    public int Count => _changes.Count - _done;

    /// <summary>The server prepares it, ahead of its use.</summary>
    public void Prepares(ServerStatements record, ServerStatement there) => _changes.Add(new Change(record, there, null, null, false));

    /// <summary>The server closes it.</summary>
    public void Closes(ServerStatements record, ServerStatement there) => _changes.Add(new Change(record, there, null, null, true));

    /// <summary>The client gets a name for it; the server prepares it, if <paramref name="there"/> is given.</summary>
    public void Names(byte[] name, PreparedStatement statement, ServerStatements record, ServerStatement? there) =>
        _changes.Add(new Change(record, there, name, statement, false));

    /// <summary>The client's name goes.</summary>
    public void Unnames(byte[] name, PreparedStatement statement, ServerStatements record) => _changes.Add(new Change(record, null, name, statement, true));

    /// <summary>What a server will have when the changes under way are done.</summary>
    public ServerStatement[] Pending(ServerStatements record) =>
        [.. _changes.Skip(_done).Where(change => !change.IsEnd && change.Record == record).Select(static change => change.There).OfType<ServerStatement>()];

    /// <summary>The names that the client will have then.</summary>
    public byte[][] PendingNames() => [.. _changes.Skip(_done).Where(static change => !change.IsEnd).Select(static change => change.Name).OfType<byte[]>()];

    /// <summary>The oldest was done.</summary>
    public void Confirm()
    {
        Change change = _changes[_done++];
        if (change.IsEnd && change.There != null)
        {
            change.Record.Forget(change.There);
        }

        if (change.IsEnd && change.Name != null)
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
            Change change = _changes[i];
            if (change.There is { } there)
            {
                if (change.IsEnd)
                {
                    change.Record.Restore(there);
                }
                else if (change.Record.Holds(there))
                {
                    change.Record.Forget(there);
                }
            }

            if (change.Name != null)
            {
                client.Undo(change.Name, change.Statement!, isEnd: change.IsEnd);
            }
        }

        _changes.Clear();
        _done = 0;
    }

    private readonly record struct Change(ServerStatements Record, ServerStatement? There, byte[]? Name, PreparedStatement? Statement, bool IsEnd);
}
