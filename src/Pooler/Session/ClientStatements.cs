using System.Buffers;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// The prepared statements of one client: its names, each for a statement that its clients share, which is prepared on
/// whichever server the client has, when it is needed there and under the client's own name if that is free. What PostgreSQL
/// answers to unknown and double names PostgreSQL is asked for: such a message goes to the server so that it says the same.
/// </summary>
internal sealed class ClientStatements
{
    /// <summary>Up to so many names are looked through.</summary>
    private const int FewNames = 64;

    private readonly ClientSession _session;
    private readonly SessionPins _pins;
    private readonly ReplyQueue _replies;
    private readonly StatementCatalogue _catalogue;
    // Made when they are first needed: most of many clients are idle, and most prepare nothing.
    private StatementJournal? _journal;
    private StatementSql? _sql;
    private Dictionary<byte[], PreparedStatement>? _names;
    private StatementIdentity? _identity;
    private SessionParameters? _identityOf;
    private StartupParameters? _startupOf;

    // Some statement has several names: which of them a message used is noted, for the error it may bring.
    private bool _hasTwins, _mayBeRenamed, _parsesUnnamed;

    // What goes by a name, of a client with many and no twins.
    private HashSet<PreparedStatement>? _named;

    public ClientStatements(ClientSession session, SessionPins pins, ReplyQueue replies, StatementCatalogue catalogue)
    {
        _session = session;
        _pins = pins;
        _replies = replies;
        _catalogue = catalogue;
    }

    /// <summary>
    /// Names are mapped. In session mode, and with max_prepared_statements = 0, they pass as they are and the client keeps its
    /// server (PgBouncer); a client that has mapped names goes on with them when a RELOAD says otherwise. Decided once for each
    /// lease: a server with mapped names of others must not see a client's own.
    /// </summary>
    public bool IsOn { get; private set; }

    public bool HasConformingStrings => _session.Parameters.HasConformingStrings;

    /// <summary>Names the client has.</summary>
    public int Count => _names?.Count ?? 0;

    public IEnumerable<KeyValuePair<byte[], PreparedStatement>> All => _names ?? [];

    /// <summary>
    /// What an error may speak of: the name that the failed message used, if it is known, else all that the client had before the
    /// changes under way, which come behind it; nothing when it is SQL's.
    /// </summary>
    public IEnumerable<KeyValuePair<byte[], PreparedStatement>> AllSpokenOf =>
        !_mayBeRenamed ? [] : _journal?.Failed is { } failed ? [failed] : Journal.NamesBefore(All);

    /// <summary>The name that replies under way give a statement.</summary>
    public byte[] NameOn(ServerConnection server, PreparedStatement statement) =>
        Journal.ClosingName(statement) ?? server.Statements.Find(statement)?.Name ?? statement.OwnName;

    /// <summary>The statement of the last message, if it was one of the client's.</summary>
    public PreparedStatement? Last { get; private set; }

    /// <summary>The client has statements of its own on the server it holds, which no other server has: it must keep it.</summary>
    public bool IsRaw { get; private set; }

    private StatementJournal Journal => _journal ??= new StatementJournal(this);

    private StatementSql Sql => _sql ??= new StatementSql(this, _replies);

    /// <summary>The next request must wait for replies: they decide what the client's names mean.</summary>
    public bool MustWait => _journal is { Count: > 0 } || _sql is { IsBarred: true };

    /// <summary>Not even the rest of the batch may follow: SQL that is under way may drop all names.</summary>
    public bool IsBarred => _sql is { IsBarred: true };

    /// <summary>The client gets a server.</summary>
    public void Begin() => IsOn = (_session.Mode != PoolMode.Session && _session.Settings.MaxPreparedStatements > 0) || Count > 0;

    /// <summary>Everything sent has been answered, and no batch is open.</summary>
    public void Settled()
    {
        _parsesUnnamed = false;
        _sql?.Settled();
    }

    /// <summary>Looks at a message, sends ahead what it needs and gives it the server's name for its statement.</summary>
    /// <param name="frame">The message, or the front of a long one, up to its names at least (<see cref="HasNames"/>).</param>
    public StatementUse Admit(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> frame, bool isWhole)
    {
        Last = null;
        byte type = frame[0];
        ReadOnlySpan<byte> body = frame[FrameHeader.Size..];
        if (!IsOn || _replies.Skipping)
        {
            return StatementUse.Untouched;
        }

        bool isNamed = StatementName.Find(type, body, out int start, out int length) && length > 0;
        if (type == FrontendMessage.Query || (type == FrontendMessage.Parse && !isNamed))
        {
            return Count == 0 && server.Statements.Count == 0 ? StatementUse.Untouched : Sql.Admit(ref run, server, frame, isWhole);
        }

        if (!isNamed)
        {
            return StatementUse.Untouched;
        }

        return type switch
        {
            FrontendMessage.Parse => Parse(ref run, server, frame, length, isWhole),
            FrontendMessage.Close => Close(server, body.Slice(start, length)),
            _ => Use(ref run, server, frame, start, length),
        };
    }

    /// <summary>
    /// The unnamed statement of a server is that of the client who parsed it: another's Bind finds nothing there. PostgreSQL keeps it
    /// until the next Parse without a name or the next Query, and DISCARD ALL leaves it.
    /// </summary>
    public void AdmitUnnamed(ref RequestRun run, ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        bool isParse = type == FrontendMessage.Parse;
        if (!(isParse || type is FrontendMessage.Bind or FrontendMessage.Describe) || _replies.Skipping
            || (server.UnnamedOf == _session.Client.Id && !isParse)
            || !StatementName.Find(type, body, out _, out int length) || length > 0)
        {
            return;
        }

        if (!isParse)
        {
            StatementMessages.WriteClose(run.Break(), []);
            _replies.Push(ReplyKind.Close, ReplyUse.Ahead);
        }

        server.UnnamedOf = _session.Client.Id;
        _parsesUnnamed |= isParse;
    }

    /// <summary>Whether the front of a message that is not there as a whole holds all we look for.</summary>
    public bool HasNames(byte type, ReadOnlySpan<byte> frame) => !IsOn
        || type is not (FrontendMessage.Parse or FrontendMessage.Bind or FrontendMessage.Describe or FrontendMessage.Close)
        || StatementName.Find(type, frame[FrameHeader.Size..], out int start, out _) || start < 0;

    public bool TryFind(ReadOnlySpan<byte> name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out byte[]? key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PreparedStatement? statement)
    {
        key = null;
        statement = null;
        return _names != null && _names.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out key, out statement);
    }

    /// <summary>The statement of a name, if it is still read as it was when it was named; null when nobody knows.</summary>
    public PreparedStatement? FindAsNamed(ReadOnlySpan<byte> name) =>
        TryFind(name, out _, out PreparedStatement? statement) && statement.Identity == Identity() ? statement : null;

    /// <summary>The server has done the oldest change.</summary>
    public void Confirm() => _journal?.Confirm();

    /// <summary>An error, or the end of the server, has dropped all changes that were not confirmed.</summary>
    public void Undo() => _journal?.Undo();

    /// <summary>The server has refused a message. <paramref name="isNoted"/>: the oldest change was to come of it.</summary>
    public void Failed(ReplyKind kind, bool isNoted, bool drops)
    {
        _mayBeRenamed = kind is ReplyKind.Parse or ReplyKind.Bind or ReplyKind.Describe; // The names in SQL are the client's own.
        _journal?.NoteFailure(isNoted);
        if (drops)
        {
            Undo();
            if (_parsesUnnamed && _session.Server is { } server)
            {
                server.UnnamedOf = 0; // Its Parse may have been skipped: what is there may be another client's.
            }
        }
    }

    /// <summary>DEALLOCATE of one of the names, in SQL, has run.</summary>
    public void Deallocated()
    {
        if (_sql?.TakeDeallocated() is { } name && RemoveName(name, out PreparedStatement? statement))
        {
            _catalogue.Unname(statement, name.Length);
        }
    }

    /// <summary>DEALLOCATE ALL or DISCARD ALL has run. What is under way comes behind it and stays.</summary>
    public void Dropped(ServerConnection server)
    {
        server.Statements.ForgetAllBut(Journal.Pending(server.Statements));
        foreach ((byte[] name, PreparedStatement statement) in All.ExceptBy(Journal.PendingNames(), static pair => pair.Key, NameComparer.Instance).ToArray())
        {
            RemoveName(name, out _);
            _catalogue.Unname(statement, name.Length);
        }

        IsRaw &= _replies.Count > 1;
    }

    /// <summary>All names of the client are gone, or the client is.</summary>
    public void Clear()
    {
        foreach ((byte[] name, PreparedStatement statement) in All)
        {
            _catalogue.Unname(statement, name.Length);
        }

        _names = null;
        _named = null;
    }

    /// <summary>The client leaves; true when nobody knows whether the server has done what was sent.</summary>
    public bool End()
    {
        bool isOpen = TakeBack();
        Clear();
        return isOpen;
    }

    /// <summary>What was sent counts as not sent; true when nobody knows whether the server has done it.</summary>
    public bool TakeBack()
    {
        bool isOpen = _journal is { Count: > 0 };
        Undo();
        return isOpen;
    }

    /// <summary>The server is given a name that no other has: its client must keep it.</summary>
    internal void KeepServer(ServerConnection server)
    {
        IsRaw = true;
        server.Statements.HasForeignNames = true;
        server.MarkDirty();
    }

    /// <summary>Has the server close what goes by a name that is not this client's, so that it finds nothing there.</summary>
    internal void FreeName(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> name, ReplyUse use = ReplyUse.Ahead)
    {
        if (server.Statements.Find(name) is { } there)
        {
            CloseThere(ref run, server, there, use);
        }
    }

    internal void CloseThere(ref RequestRun run, ServerConnection server, ServerStatement there, ReplyUse use = ReplyUse.Ahead)
    {
        StatementMessages.WriteClose(run.Break(), there.Name);
        server.Statements.Remove(there);
        Journal.Closes(server.Statements, there);
        _replies.Push(ReplyKind.Close, use, isNoted: true);
    }

    /// <summary>What the client was to keep its server for has failed.</summary>
    internal void LetServerGo() => IsRaw = false;

    /// <summary>The journal takes a change back.</summary>
    internal void Undo(byte[] name, PreparedStatement statement, bool isEnd)
    {
        if (isEnd)
        {
            AddName(name, statement);
        }
        else if (RemoveName(name, out PreparedStatement? now))
        {
            _catalogue.Unname(now, name.Length);
        }
    }

    /// <summary>The journal has seen the end of a name.</summary>
    internal void Forget(byte[] name, PreparedStatement statement) => _catalogue.Unname(statement, name.Length);

    /// <summary>
    /// A comment that tells one trace from the next is no part of what is shared, or each trace had a statement of its own. The server
    /// that is given the statement by a client gets it as the client has sent it, one that is given it by us without.
    /// </summary>
    private PreparedStatement? Share(ReadOnlySpan<byte> body, int nameLength)
    {
        if (!TraceParent.IsLikely(body))
        {
            return _catalogue.Name(Identity(), body, nameLength, _session.Settings.MaxPreparedMemory);
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(body.Length);
        bool isShorter = TraceParent.TryLeaveOut(body, HasConformingStrings, _session.Parameters.TextEncoding, buffer, out int length);
        PreparedStatement? statement = _catalogue.Name(Identity(), isShorter ? buffer.AsSpan(0, length) : body, nameLength, _session.Settings.MaxPreparedMemory);
        ArrayPool<byte>.Shared.Return(buffer);
        return statement;
    }

    private StatementUse Parse(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> frame, int length, bool isWhole)
    {
        ReadOnlySpan<byte> name = frame.Slice(FrameHeader.Size, length), body = frame[(FrameHeader.Size + length + 1)..];
        if (TryFindAsRead(server, name, out byte[]? key, out PreparedStatement? statement))
        {
            // 42P05 is the server's to say, which has it under some name.
            ServerStatement twin = Provide(ref run, server, key, statement);
            Rename(ref run, frame, 0, name, twin.Name);
            PushUse(ReplyKind.Parse, server, key, statement);
            return StatementUse.Sent;
        }

        bool usesOthers = !isWhole || StatementScan.NamesStatements(body);
        statement = IsRaw || usesOthers
            ? null
            : Share(body, length);
        if (statement == null)
        {
            if (usesOthers)
            {
                Sql.MakeWay(ref run, server, body, isWhole, isApart: false);
            }

            FreeName(ref run, server, name);
            bool isFirst = !IsRaw;
            if (isFirst)
            {
                Journal.Keeps(server.Statements);
            }

            KeepServer(server);
            _replies.Push(ReplyKind.Parse, isNoted: isFirst);
            return StatementUse.Sent;
        }

        Last = statement;
        _session.Stats.Parses++;
        ServerStatement? there = server.Statements.Find(statement);
        key = there != null && name.SequenceEqual(there.Name) ? there.Name : name.ToArray();
        AddName(key, statement);
        if (there is { IsStale: false } && server.Status != 'E')
        {
            server.Statements.Touch(there);
            Journal.Names(key, statement, server.Statements, null);
            _replies.Push(ReplyKind.Parse, ReplyUse.Answer, isNoted: true);
            return StatementUse.Answered;
        }

        if (there != null)
        {
            CloseThere(ref run, server, there); // Or in a failed transaction, where PostgreSQL decides what may be prepared.
        }

        there = Add(ref run, server, key, statement);
        Rename(ref run, frame, 0, name, there.Name);
        Journal.Names(key, statement, server.Statements, there);
        _replies.Push(ReplyKind.Parse, isNoted: true);
        return StatementUse.Sent;
    }

    /// <summary>Bind, or Describe of a statement.</summary>
    private StatementUse Use(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> frame, int start, int length)
    {
        ReadOnlySpan<byte> name = frame.Slice(FrameHeader.Size + start, length);
        if (!TryFindAsRead(server, name, out byte[]? key, out PreparedStatement? statement))
        {
            FreeName(ref run, server, name); // 26000, unless SQL has prepared it.
            return StatementUse.Untouched;
        }

        Last = statement;
        ServerStatement there = Provide(ref run, server, key, statement);
        Rename(ref run, frame, start, name, there.Name);
        bool isBind = frame[0] == FrontendMessage.Bind;
        if (isBind)
        {
            statement.Uses++;
            _session.Stats.Binds++;
            if (statement.MayLeaveState)
            {
                server.MarkDirty();
            }

            if (statement.MayPin)
            {
                _pins.Note(statement.Text, statement.MayLeaveState);
            }
        }

        PushUse(isBind ? ReplyKind.Bind : ReplyKind.Describe, server, key, statement);
        return StatementUse.Sent;
    }

    private void PushUse(ReplyKind kind, ServerConnection server, byte[] key, PreparedStatement statement)
    {
        if (_hasTwins)
        {
            Journal.Uses(key, statement, server.Statements);
        }

        _replies.Push(kind, isNoted: _hasTwins);
    }

    /// <summary>Only the client's name goes: the server keeps the statement for others.</summary>
    private StatementUse Close(ServerConnection server, ReadOnlySpan<byte> name)
    {
        if (TryFind(name, out byte[]? key, out PreparedStatement? statement))
        {
            RemoveName(key, out _);
            Journal.Unnames(key, statement, server.Statements);
            _replies.Push(ReplyKind.Close, ReplyUse.Answer, isNoted: true);
            return StatementUse.Answered;
        }

        if (server.Statements.Find(name) == null)
        {
            return StatementUse.Untouched; // Nothing, or what SQL has prepared.
        }

        _replies.Push(ReplyKind.Close, ReplyUse.Answer);
        return StatementUse.Answered;
    }

    /// <summary>The statement on this server, prepared ahead of the message looked at if it has to be.</summary>
    private ServerStatement Provide(ref RequestRun run, ServerConnection server, byte[] key, PreparedStatement statement)
    {
        ServerStatement? there = server.Statements.Find(statement);
        if (there is { IsStale: false })
        {
            server.Statements.Touch(there);
            return there;
        }

        if (there != null)
        {
            CloseThere(ref run, server, there);
        }

        there = Add(ref run, server, key, statement);
        StatementMessages.WriteParse(run.Break(), there.Name, statement.Body);
        Journal.Prepares(server.Statements, there);
        _replies.Push(ReplyKind.Parse, ReplyUse.Ahead, isNoted: true);
        return there;
    }

    private ServerStatement Add(ref RequestRun run, ServerConnection server, byte[] key, PreparedStatement statement)
    {
        int limit = Math.Max(1, _session.Settings.MaxPreparedStatements);
        while (server.Statements.Count >= limit)
        {
            CloseThere(ref run, server, server.Statements.Oldest!);
        }

        _session.Stats.ServerParses++;
        return server.Statements.Add(statement, key);
    }

    /// <summary>
    /// The statement of a name. Since it was named the client may have taken other settings, under which PostgreSQL reads the text
    /// anew when it prepares or replans it: from now on the name means the text as read under these, lest those who share the
    /// other get this reading.
    /// </summary>
    private bool TryFindAsRead(
        ServerConnection server, ReadOnlySpan<byte> name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out byte[]? key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PreparedStatement? statement)
    {
        if (!TryFind(name, out key, out statement))
        {
            return false;
        }

        if (statement.Identity == Identity())
        {
            return true;
        }

        if (_catalogue.Name(Identity(), statement.Body, key.Length, _session.Settings.MaxPreparedMemory) is not { } anew)
        {
            server.MarkDirty(); // No room for two readings: nobody else gets what this server has.
            return true;
        }

        _catalogue.Unname(statement, key.Length);
        RemoveName(key, out _);
        AddName(key, statement = anew);
        return true;
    }

    private void AddName(byte[] name, PreparedStatement statement)
    {
        _names ??= new(NameComparer.Instance);
        if (!_hasTwins)
        {
            _named = _names.Count < FewNames ? _named : _named ?? [.. _names.Values];
            _hasTwins = _named == null ? _names.ContainsValue(statement) : !_named.Add(statement);
            _named = _hasTwins ? null : _named; // There are twins from now on, whatever becomes of these.
        }

        _names[name] = statement;
    }

    private bool RemoveName(byte[] name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PreparedStatement? statement)
    {
        statement = null;
        if (_names == null || !_names.Remove(name, out statement))
        {
            return false;
        }

        _named?.Remove(statement);
        return true;
    }

    private static void Rename(ref RequestRun run, ReadOnlySpan<byte> frame, int start, ReadOnlySpan<byte> name, ReadOnlySpan<byte> there)
    {
        if (!name.SequenceEqual(there))
        {
            run.Skip(StatementMessages.WriteRenamed(run.Break(), frame, start, name.Length, there));
        }
    }

    private StatementIdentity Identity()
    {
        StartupParameters startup = _session.Unreported;
        if (_identity == null || !ReferenceEquals(_identityOf, _session.Parameters) || !ReferenceEquals(_startupOf, startup))
        {
            _identityOf = _session.Parameters;
            _startupOf = startup;
            var identity = StatementIdentity.Of(_session.Pool.Key.Database, _session.Pool.Key.User, _identityOf, startup);
            _identity = identity.Equals(_identity) ? _identity : identity;
        }

        return _identity;
    }
}
