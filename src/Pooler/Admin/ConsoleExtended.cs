using System.Collections.Immutable;
using Pooler.Errors;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>
/// The extended protocol on the console, which PgBouncer's does not speak (PostgreSQL documentation, 55.2.3 and 55.7): statements and
/// portals with and without names, results in text and binary format. Behind an error everything up to Sync is skipped. There are
/// no transactions, so a portal lives until Sync, as in PostgreSQL.
/// </summary>
internal sealed class ConsoleExtended(ConsoleSession session)
{
    private const int MostNames = 1000;

    private readonly Dictionary<string, ConsoleRequest?> _statements = [];
    private readonly Dictionary<string, ConsolePortal> _portals = [];

    /// <summary>Whether an error came, and messages are skipped.</summary>
    public bool IsSkipping { get; private set; }

    /// <summary>Statements with a name.</summary>
    public int Statements => _statements.Count - (_statements.ContainsKey("") ? 1 : 0);

    private MessageWriter Writer => new(session.Client.Outbox);

    /// <summary>An error was sent while one of its messages was worked on.</summary>
    public void Fail() => IsSkipping = true;

    /// <summary>A Query begins: it ends what has no name, and portals (55.2.3).</summary>
    public void Forget()
    {
        _statements.Remove("");
        _portals.Clear();
    }

    /// <summary>A Query has ended: its errors skip nothing.</summary>
    public void Recover() => IsSkipping = false;

    public static bool IsOwn(byte type) => type is FrontendMessage.Parse or FrontendMessage.Bind or FrontendMessage.Describe or FrontendMessage.Execute
        or FrontendMessage.Close or FrontendMessage.Flush or FrontendMessage.Sync;

    /// <summary>One message of its own.</summary>
    public ValueTask TakeAsync(byte type, byte[] body)
    {
        if (type == FrontendMessage.Sync)
        {
            IsSkipping = false;
            _portals.Clear();
            Writer.WriteReadyForQuery((byte)'I');
        }
        else if (!IsSkipping)
        {
            return type switch
            {
                FrontendMessage.Execute => ExecuteAsync(body),
                FrontendMessage.Flush => ValueTask.CompletedTask, // What is there is sent anyway.
                _ => Answer(type, body),
            };
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>What is answered at once.</summary>
    private ValueTask Answer(byte type, byte[] body)
    {
        switch (type)
        {
            case FrontendMessage.Parse:
                Parse(body);
                break;
            case FrontendMessage.Bind:
                Bind(body);
                break;
            case FrontendMessage.Describe:
                Describe(body);
                break;
            default:
                Close(body);
                break;
        }

        return ValueTask.CompletedTask;
    }

    private void Parse(byte[] body)
    {
        var reader = new MessageReader(body);
        string name = reader.ReadString(), text = reader.ReadString();
        int types = (ushort)reader.ReadInt16();
        reader.Take(4 * types);
        if (!IsWhole(reader))
        {
            return;
        }

        if (types > 0)
        {
            session.Error(ConsoleErrors.NoParameters.Fields());
        }
        else if (name.Length > 0 && _statements.ContainsKey(name))
        {
            session.Error(ConsoleErrors.StatementExists.Fields(name));
        }
        else if (_statements.Count >= MostNames)
        {
            session.Error(ConsoleErrors.TooManyStatements.Fields(MostNames));
        }
        else if (text.AsSpan().Trim(" \t\r\n;").IsEmpty)
        {
            _statements[name] = null;
            Writer.WriteParseComplete();
        }
        else if (ConsoleRequest.Read(text, out ErrorFields? problem) is { } request)
        {
            _statements[name] = request;
            Writer.WriteParseComplete();
        }
        else if (text.Contains('$'))
        {
            session.Error(ConsoleErrors.NoParameters.Fields());
        }
        else
        {
            session.Error(problem!);
        }
    }

    private void Bind(byte[] body)
    {
        var reader = new MessageReader(body);
        string portal = reader.ReadString(), name = reader.ReadString();
        reader.Take(2 * (ushort)reader.ReadInt16());
        int parameters = (ushort)reader.ReadInt16();
        for (int i = 0; i < parameters; i++)
        {
            reader.Take(Math.Max(0, reader.ReadInt32()));
        }

        short[] formats = new short[(ushort)reader.ReadInt16()];
        for (int i = 0; i < formats.Length; i++)
        {
            formats[i] = reader.ReadInt16();
        }

        if (!IsWhole(reader) || !Find(name, out ConsoleRequest? request))
        {
            return;
        }

        if (parameters > 0)
        {
            session.Error(ConsoleErrors.WrongCount.Fields(parameters, name));
        }
        else if (portal.Length > 0 && _portals.ContainsKey(portal))
        {
            session.Error(ConsoleErrors.PortalExists.Fields(portal));
        }
        else if (_portals.Count >= MostNames)
        {
            session.Error(ConsoleErrors.TooManyPortals.Fields(MostNames));
        }
        else if (InFormats(ColumnsOf(request), formats) is { IsDefault: false } columns)
        {
            _portals[portal] = new ConsolePortal(request, columns);
            Writer.WriteBindComplete();
        }
    }

    /// <summary>One format for all columns, or one each; the default array when the message is wrong, which was said.</summary>
    private ImmutableArray<ColumnDescription> InFormats(ImmutableArray<ColumnDescription> columns, short[] formats)
    {
        if (formats.FirstOrDefault(static f => f is not (0 or 1)) is var unknown and not 0)
        {
            session.Error(ConsoleErrors.BadFormat.Fields(unknown));
            return default;
        }

        if (formats.Length > 1 && formats.Length != columns.Length)
        {
            session.Error(ConsoleErrors.WrongFormats.Fields(formats.Length, columns.Length));
            return default;
        }

        return formats.Length == 0 ? columns : [.. columns.Select((column, i) => column with { IsBinary = formats[formats.Length == 1 ? 0 : i] == 1 })];
    }

    private void Describe(byte[] body)
    {
        if (!ReadName(body, out bool isStatement, out string name))
        {
            return;
        }

        if (isStatement)
        {
            if (Find(name, out ConsoleRequest? request))
            {
                Writer.WriteParameterDescription();
                DescribeRows(ColumnsOf(request));
            }
        }
        else if (FindPortal(name) is { } portal)
        {
            DescribeRows(portal.Columns);
        }
    }

    private void DescribeRows(ImmutableArray<ColumnDescription> columns)
    {
        if (columns.IsEmpty)
        {
            Writer.WriteNoData();
        }
        else
        {
            Writer.WriteRowDescription(columns.AsSpan());
        }
    }

    private async ValueTask ExecuteAsync(byte[] body)
    {
        if (!ReadExecute(body, out string name, out int most) || FindPortal(name) is not { } portal)
        {
            return;
        }

        if (portal.Request == null)
        {
            Writer.WriteEmptyQueryResponse();
            return;
        }

        if (portal.HasRun && portal.Columns.IsEmpty)
        {
            session.Error(ConsoleErrors.PortalHasRun.Fields(name)); // PostgreSQL's words; commands are not run twice.
            return;
        }

        if (!portal.HasRun)
        {
            await portal.RunAsync(session);
        }

        portal.Fetch(session.Client.Outbox, most);
    }

    private bool ReadExecute(byte[] body, out string name, out int most)
    {
        var reader = new MessageReader(body);
        name = reader.ReadString();
        most = reader.ReadInt32();
        return IsWhole(reader);
    }

    private void Close(byte[] body)
    {
        if (ReadName(body, out bool isStatement, out string name))
        {
            if (isStatement)
            {
                _statements.Remove(name);
            }
            else
            {
                _portals.Remove(name);
            }

            Writer.WriteCloseComplete();
        }
    }

    /// <summary>Of Describe and Close.</summary>
    private bool ReadName(byte[] body, out bool isStatement, out string name)
    {
        var reader = new MessageReader(body);
        byte kind = reader.ReadByte();
        isStatement = kind == 'S';
        name = reader.ReadString();
        if (!IsWhole(reader))
        {
            return false;
        }

        if (kind is not ((byte)'S' or (byte)'P'))
        {
            session.Error(ConsoleErrors.BadSubtype.Fields(kind));
            return false;
        }

        return true;
    }

    private bool IsWhole(MessageReader reader)
    {
        if (!reader.IsWhole)
        {
            session.Error(ConsoleErrors.BadMessage.Fields());
        }

        return reader.IsWhole;
    }

    private bool Find(string name, out ConsoleRequest? request)
    {
        if (_statements.TryGetValue(name, out request))
        {
            return true;
        }

        session.Error(name.Length > 0 ? ConsoleErrors.NoStatement.Fields(name) : ConsoleErrors.NoUnnamedStatement.Fields());
        return false;
    }

    private ConsolePortal? FindPortal(string name)
    {
        if (_portals.TryGetValue(name, out ConsolePortal? portal))
        {
            return portal;
        }

        session.Error(ConsoleErrors.NoPortal.Fields(name));
        return null;
    }

    private static ImmutableArray<ColumnDescription> ColumnsOf(ConsoleRequest? request) => request?.Command.ColumnsOf(request.Statement) ?? [];
}
