using System.Text;
using Pooler.Backend;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// SQL that names prepared statements: PREPARE, EXECUTE, DEALLOCATE, DISCARD. It shares its names with the protocol, so what it
/// mentions must be on the server under the client's own names, and nothing of another client may go by them.
/// </summary>
internal sealed class StatementSql(ClientStatements statements, ReplyQueue replies)
{
    // What is deallocated on the server in the place of a shared statement, which stays.
    private static readonly byte[] StandIn = "pooler_gone"u8.ToArray();
    private static readonly byte[] DeallocateStandIn = "DEALLOCATE pooler_gone"u8.ToArray();

    private Queue<byte[]>? _deallocating;

    /// <summary>Such a text is under way: until it is answered the names' meaning is open.</summary>
    public bool IsBarred { get; private set; }

    /// <summary>Everything sent has been answered, and no batch is open.</summary>
    public void Settled()
    {
        IsBarred = false;
        _deallocating?.Clear();
    }

    /// <summary>The name of the client's that the DEALLOCATE just done was about.</summary>
    public byte[]? TakeDeallocated() => _deallocating != null && _deallocating.TryDequeue(out byte[]? name) ? name : null;

    /// <summary>A Query, or the Parse of an unnamed statement.</summary>
    public StatementUse Admit(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> frame, bool isWhole)
    {
        bool isQuery = frame[0] == FrontendMessage.Query;
        ReadOnlySpan<byte> text = frame[(isQuery ? FrameHeader.Size : FrameHeader.Size + 1)..];
        if (isWhole && !StatementScan.NamesStatements(text))
        {
            return StatementUse.Untouched;
        }

        // Ahead of a Query a Sync of ours ends what we send, lest an error of ours has the server skip the Query.
        bool isApart = isQuery && !replies.BatchOpen;
        if (isWhole && NameToDeallocate(text) is { } name)
        {
            IsBarred = true;
            Deallocate(ref run, isQuery, isApart, frame.Length);
            (_deallocating ??= []).Enqueue(name);
            return StatementUse.Sent;
        }

        MakeWay(ref run, server, text, isWhole, isApart);
        return StatementUse.Untouched;
    }

    /// <summary>
    /// What the text mentions is on the server under the client's own names, and nothing of another client. Names behind escapes,
    /// and in what is not there yet, are any names.
    /// </summary>
    public void MakeWay(ref RequestRun run, ServerConnection server, ReadOnlySpan<byte> text, bool isWhole, bool isApart)
    {
        IsBarred = true;
        bool isAny = !isWhole || text.IndexOf("&\""u8) >= 0 || text.IndexOf("\"\""u8) >= 0;
        string? words = isAny ? null : Encoding.Latin1.GetString(text);
        ReplyUse use = isApart ? ReplyUse.Swallow : ReplyUse.Ahead;
        bool hasSent = FreeNames(ref run, server, words, use) | (isWhole && GiveNames(ref run, server, words, use));
        if (hasSent && isApart)
        {
            EndApart(run.Break());
        }
    }

    private byte[]? NameToDeallocate(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)0);
        return StatementScan.NameOfDeallocate(end < 0 ? text : text[..end]) is { } name && statements.TryFind(name, out byte[]? key, out _) ? key : null;
    }

    /// <summary>The client's name goes when PostgreSQL has done as told, to another statement: it decides whether that may be now.</summary>
    private void Deallocate(ref RequestRun run, bool isQuery, bool isApart, int frameLength)
    {
        Outbox outbox = run.Break();
        ReplyUse use = isApart ? ReplyUse.Swallow : ReplyUse.Ahead;
        StatementMessages.WriteClose(outbox, StandIn);
        replies.Push(ReplyKind.Close, use);
        StatementMessages.WriteParseOfNothing(outbox, StandIn);
        replies.Push(ReplyKind.Parse, use);
        if (isApart)
        {
            EndApart(outbox);
        }

        if (isQuery)
        {
            new MessageWriter(outbox).WriteQuery(DeallocateStandIn);
            replies.Push(ReplyKind.Query);
        }
        else
        {
            StatementMessages.WriteParse(outbox, default, [.. DeallocateStandIn, 0, 0, 0]);
            replies.Push(ReplyKind.Parse);
        }

        run.Skip(frameLength);
    }

    private bool FreeNames(ref RequestRun run, ServerConnection server, string? words, ReplyUse use)
    {
        bool hasSent = false;
        foreach (ServerStatement there in server.Statements.ToArray())
        {
            if (Mentions(words, there.Name) && !IsOwn(there))
            {
                statements.CloseThere(ref run, server, there, use);
                hasSent = true;
            }
        }

        return hasSent;
    }

    private bool GiveNames(ref RequestRun run, ServerConnection server, string? words, ReplyUse use)
    {
        bool hasSent = false;
        foreach ((byte[] name, PreparedStatement statement) in statements.All)
        {
            if (Mentions(words, name) && server.Statements.Find(name)?.Statement != statement)
            {
                Outbox outbox = run.Break();
                StatementMessages.WriteClose(outbox, name);
                replies.Push(ReplyKind.Close, use);
                StatementMessages.WriteParse(outbox, name, statement.Body);
                replies.Push(ReplyKind.Parse, use);
                server.MarkDirty();
                server.Statements.HasForeignNames = hasSent = true;
            }
        }

        return hasSent;
    }

    /// <summary>It goes by the name it has for this client too.</summary>
    private bool IsOwn(ServerStatement there) => statements.TryFind(there.Name, out _, out PreparedStatement? own) && own == there.Statement;

    private static bool Mentions(string? words, byte[] name) => words == null || words.Contains(Encoding.Latin1.GetString(name), StringComparison.OrdinalIgnoreCase);

    private void EndApart(Outbox outbox)
    {
        new MessageWriter(outbox).WriteSync();
        replies.Push(ReplyKind.Sync, ReplyUse.Swallow);
    }
}
