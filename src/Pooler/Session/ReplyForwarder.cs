using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>The server's half of the data path: what a leased server sends goes to its client, or is the answer to our own SET.</summary>
internal sealed class ReplyForwarder(ClientSession session, Exchange exchange, ClientStatements statements, ReplyQueue replies, SessionClock clock)
{
    private readonly OwnReplies _ownReplies = new(session, exchange, replies);
    private ErrorFields? _lastWords;

    // What the client gets in the place of a frame that it must not see as it is.
    private byte[]? _instead;

    /// <summary>What the server said last, if it is gone behind it.</summary>
    public ErrorFields? LastWords => _lastWords;

    /// <summary>A lease begins.</summary>
    public void Begin() => _lastWords = null;

    /// <summary>Step 8: the server's bytes go to the client in the longest run of whole frames; only headers are looked at.</summary>
    public int Forward(ServerConnection server, ReadOnlySpan<byte> data)
    {
        if (exchange.IsRefused)
        {
            return Drop(server, data);
        }

        StatementWatch? watch = exchange.Watch;
        int at = 0, runStart = 0, counted = 0;
        _lastWords = null;
        while (at < data.Length && !session.IsEnding)
        {
            if (server.FrameRemaining > 0)
            {
                // Only frames that are forwarded are passed on in parts; our own replies are waited for as a whole.
                int part = (int)Math.Min(server.FrameRemaining, data.Length - at);
                server.FrameRemaining -= part;
                at += part;
                continue;
            }

            if (exchange.MayRefuse && replies.Count > 0 && replies.HeadUse != ReplyUse.Swallow)
            {
                RefusedRead refused = RefusedReads.Find(data[at..], out ReadOnlySpan<byte> error);
                if (refused == RefusedRead.Unclear)
                {
                    break;
                }

                if (refused == RefusedRead.Goodbye && exchange.TryAnotherServer(server, ErrorFields.Parse(error)))
                {
                    return data.Length;
                }

                if (refused is RefusedRead.IsWrite or RefusedRead.Conflict)
                {
                    exchange.Refuse(isWrite: refused == RefusedRead.IsWrite);
                    session.Client.Outbox.Send(data[runStart..at]);
                    return at + Drop(server, data[at..]);
                }
            }

            if (replies.IsAnswerDue)
            {
                session.Client.Outbox.Append(data[runStart..at]);
                runStart = at;
                WriteAnswers();
            }

            ReadOnlySpan<byte> rest = data[at..];
            if (rest.Length < FrameHeader.Size)
            {
                break;
            }

            long length = FrameHeader.FrameLength(rest);
            byte type = rest[0];
            if (!BackendFrame.IsPossible(type, length))
            {
                session.Client.Outbox.Send(data[runStart..at]);
                EndOverViolation(server, BackendFrame.Problem(rest));
                return data.Length;
            }

            bool isWhole = rest.Length >= length;
            bool isOurs = replies.Count > 0 && replies.HeadUse is ReplyUse.Swallow or ReplyUse.Ahead;
            if (!isWhole && length <= BlockPool.BlockSize && (isOurs || MattersAsWhole(type)))
            {
                break;
            }

            ReadOnlySpan<byte> body = isWhole ? rest[FrameHeader.Size..(int)length] : default;
            if (type == BackendMessage.NoticeResponse && rest.Length == length && AreLastWords(body))
            {
                _lastWords = ErrorFields.Parse(body);
                break; // Left where it is until it is known whether more follows.
            }

            int taken = (int)Math.Min(length, rest.Length);
            watch?.Count(at - counted + (isOurs ? 0 : taken));
            counted = at + taken;
            if (!(watch == null ? Take(server, isOurs && !isWhole, type, body, isOurs) : TakeWatched(watch, server, isOurs && !isWhole, type, body, isOurs)))
            {
                session.Client.Outbox.Append(data[runStart..at]);
                session.Client.Outbox.Append(_instead);
                _instead = null;
                session.Client.Outbox.Flush();
                at += isWhole ? (int)length : rest.Length;
                runStart = at;
                if (server.IsClosed || server.Failure != null)
                {
                    return data.Length;
                }

                continue;
            }

            server.FrameRemaining = length - taken;
            at += taken;
        }

        watch?.Count(at - counted);
        if (replies.IsAnswerDue && server.FrameRemaining == 0 && !session.IsEnding && !exchange.MayRefuse)
        {
            session.Client.Outbox.Append(data[runStart..at]);
            runStart = at;
            WriteAnswers();
            session.Client.Outbox.Flush();
        }

        if (at > runStart)
        {
            session.Stats.Sent += at - runStart;
            session.Client.Outbox.Send(data[runStart..at]);
        }

        return at;
    }

    /// <summary>A replica has refused the request: what it sends for it, and what we would have said, the client does not see.</summary>
    private int Drop(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int at = 0;
        while (at < data.Length && server.Failure == null)
        {
            if (server.FrameRemaining > 0)
            {
                int part = (int)Math.Min(server.FrameRemaining, data.Length - at);
                server.FrameRemaining -= part;
                at += part;
                continue;
            }

            while (replies.IsAnswerDue)
            {
                replies.TakeAnswer();
            }

            ReadOnlySpan<byte> rest = data[at..];
            long length = rest.Length < FrameHeader.Size ? 0 : FrameHeader.FrameLength(rest);
            if (length == 0 || (length > rest.Length && length <= BlockPool.BlockSize && MattersAsWhole(rest[0])))
            {
                break;
            }

            ReadOnlySpan<byte> body = length <= rest.Length ? rest[FrameHeader.Size..(int)length] : default;
            if (!BackendFrame.IsPossible(rest[0], length) || !TakeDropped(server, rest[0], body))
            {
                server.Close(ServerErrors.Violation.Fields("protocol violation: unexpected message from server"));
                break;
            }

            int taken = (int)Math.Min(length, rest.Length);
            server.FrameRemaining = length - taken;
            at += taken;
        }

        return server.Failure == null ? at : data.Length;
    }

    private bool TakeDropped(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        switch (replies.Accept(type))
        {
            case ReplyVerdict.Unexpected:
                return false;
            case ReplyVerdict.Asynchronous:
                if (type == BackendMessage.ParameterStatus)
                {
                    server.Record(body, out _);
                }

                return true;
            default:
                replies.TakeDropped();
                return type != BackendMessage.ReadyForQuery || TakeStatus(server, body);
        }
    }

    /// <summary>
    /// Answers the requests in front that the server was not asked. It is for whoever makes them the front: this loop, or the
    /// client's when nothing was outstanding (architecture rule 1).
    /// </summary>
    public void WriteAnswers()
    {
        while (replies.IsAnswerDue)
        {
            bool isNoted = replies.HeadIsNoted;
            var writer = new MessageWriter(session.Client.Outbox);
            if (replies.TakeAnswer() == ReplyKind.Parse)
            {
                writer.WriteParseComplete();
            }
            else
            {
                writer.WriteCloseComplete();
            }

            if (isNoted)
            {
                statements.Confirm();
            }
        }
    }

    /// <summary>What a frame says of the requests outstanding, then of itself; false when the client must not see it.</summary>
    private bool Take(ServerConnection server, bool isImpossible, byte type, ReadOnlySpan<byte> body, bool isOurs)
    {
        if (isImpossible || replies.Count == 0)
        {
            return Handle(server, isImpossible ? ReplyVerdict.Unexpected : replies.Accept(type), type, body, isOurs);
        }

        bool isNoted = replies.HeadIsNoted;
        ReplyKind kind = replies.Head;
        ReplyVerdict verdict = replies.Accept(type);
        if (type == BackendMessage.ErrorResponse)
        {
            statements.Failed(kind, isNoted, drops: replies.TakeDropped() > 0);
        }
        else if (isNoted && verdict != ReplyVerdict.Unexpected && type is BackendMessage.ParseComplete or BackendMessage.CloseComplete
            or BackendMessage.BindComplete or BackendMessage.RowDescription or BackendMessage.NoData)
        {
            statements.Confirm();
        }

        return verdict == ReplyVerdict.Swallow && kind != ReplyKind.Query ? HandleOurs(server, kind, type, body) : Handle(server, verdict, type, body, isOurs);
    }

    /// <summary>A reply to what was put between a client's requests; its SET statements apart.</summary>
    private bool HandleOurs(ServerConnection server, ReplyKind kind, byte type, ReadOnlySpan<byte> body)
    {
        if (kind != ReplyKind.Sync || type != BackendMessage.ReadyForQuery || TakeStatus(server, body))
        {
            exchange.SendCancel(); // It may have waited for this.
        }

        return false;
    }

    /// <summary>The same; whoever follows the client's statements is told what it says of them.</summary>
    private bool TakeWatched(StatementWatch watch, ServerConnection server, bool isImpossible, byte type, ReadOnlySpan<byte> body, bool isOurs)
    {
        int open = replies.Statements;
        bool isOfStatement = open > 0 && !isOurs && replies.Head is ReplyKind.Query or ReplyKind.Execute;
        bool goes = Take(server, isImpossible, type, body, isOurs);
        watch.Replied(type, body, isOfStatement, open - replies.Statements);
        return goes;
    }

    private static bool MattersAsWhole(byte type) => type is BackendMessage.CommandComplete or BackendMessage.ReadyForQuery
        or BackendMessage.ParameterStatus or BackendMessage.ErrorResponse or BackendMessage.NoticeResponse;

    /// <summary>
    /// A server that is shut down at once, or over the crash of another, says so in a warning and is gone (quickdie). Functions
    /// may raise the same: it is only believed if nothing follows.
    /// </summary>
    private static bool AreLastWords(ReadOnlySpan<byte> body) => ErrorFields.Has(body, (byte)'V', "WARNING"u8)
        && (ErrorFields.Has(body, (byte)'C', "57P01"u8) || ErrorFields.Has(body, (byte)'C', "57P02"u8));

    /// <summary>Takes one frame of the server; false when the client must not see it.</summary>
    private bool Handle(ServerConnection server, ReplyVerdict verdict, byte type, ReadOnlySpan<byte> body, bool isOurs)
    {
        if (type == BackendMessage.ErrorResponse && IsGoodbye(body) && exchange.TryAnotherServer(server, ErrorFields.Parse(body)))
        {
            return false;
        }

        if (verdict != ReplyVerdict.Swallow && !(isOurs && verdict == ReplyVerdict.Asynchronous) && !IsReplanned(server, verdict, type, body))
        {
            exchange.Replied();
        }
        else if (verdict == ReplyVerdict.Forward)
        {
            return false;
        }

        switch (verdict)
        {
            case ReplyVerdict.Forward:
                return HandleReply(server, type, body);
            case ReplyVerdict.Asynchronous:
                if (type == BackendMessage.ParameterStatus)
                {
                    return HandleParameter(server, body, isOurs);
                }

                return !isOurs || type == BackendMessage.NotificationResponse;
            case ReplyVerdict.Swallow:
                if (type != BackendMessage.ReadyForQuery || TakeStatus(server, body))
                {
                    _ownReplies.Take(server, type, body);
                }

                return false;
            default:
                HandleUnexpected(server, type, body);
                return false;
        }
    }

    /// <summary>admin_shutdown: pg_terminate_backend, or the server stops.</summary>
    private static bool IsGoodbye(ReadOnlySpan<byte> body) => ErrorFields.Has(body, (byte)'V', "FATAL"u8) && ErrorFields.Has(body, (byte)'C', "57P01"u8);

    private bool HandleReply(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case BackendMessage.CommandComplete:
                // Too long to be a tag of PostgreSQL's: assume the worst of it.
                if (body.IsEmpty || (CommandTag.LeavesState(body[..^1]) && (exchange.MaySet || !body[..^1].SequenceEqual("SET"u8))) || (server.IsDirty && CommandTag.EndsState(body[..^1])))
                {
                    server.MarkDirty();
                }

                if (session.SplitRoute is { } route && body.Length > 4 && CommandTag.ChangesNames(body[..^1]))
                {
                    route.HasChangedNames = true;
                }

                if (body.Length > 7 && body[0] is (byte)'D' or (byte)'P')
                {
                    HandleStatementTag(server, body[..^1]);
                }

                if (session.AsksPooler && body.Length > 11 && CommandTag.DiscardsAll(body[..^1]))
                {
                    session.Route.Answers.Reset();
                }

                if (body.Length > 3 && body[0] is (byte)'S' or (byte)'R' or (byte)'D' && session.Startup.Count > 0)
                {
                    HandleSettingTag(server, body[..^1]);
                }

                return true;
            case BackendMessage.ReadyForQuery:
                return HandleReady(server, body);
            case BackendMessage.ErrorResponse when ErrorFields.Has(body, (byte)'V', "FATAL"u8) || ErrorFields.Has(body, (byte)'V', "PANIC"u8):
                return HandleFatal(server, body);
            case BackendMessage.ErrorResponse when session.Settings.Pin == PinRule.Refuse && PinRefusal.Reason(body) is { } reason:
                return Replace(SessionErrors.PinRefused.Because(
                    $"The entry's pool_mode is {session.Settings.Mode.ToString().ToLowerInvariant()}: servers are shared.",
                    session.Configuration, session.Identity.Database, session.Identity.User, PinReasons.Text(reason)));
            case BackendMessage.ErrorResponse when session.SplitRoute is { IsOnReplica: true } && RefusedReads.IsReadOnly(body):
                return HandleReadOnly(server, body);
            case BackendMessage.ErrorResponse when statements.IsOn:
                return HandleStatementError(server, body);
            default:
                return true;
        }
    }

    /// <summary>A write has met a replica: of a client that a pin keeps there the reason is told.</summary>
    private bool HandleReadOnly(ServerConnection server, ReadOnlySpan<byte> body)
    {
        if (server.Status == 'I' && exchange.PinReasons == PinReason.None)
        {
            session.Route.Remember(); // It was too late to run it elsewhere; the next time it is not.
        }

        if (exchange.PinReasons == PinReason.None)
        {
            return true;
        }

        ErrorFields error = ErrorFields.Parse(body);
        return Replace(error with
        {
            Detail = $"{(error.Detail is { } detail ? detail + " " : "")}The server is the replica {server.Host}.",
            Hint = $"The client keeps its server, on a replica, for {PinReasons.Text(exchange.PinReasons)}. " + SessionErrors.WroteOnReplica.Advice,
        });
    }

    /// <summary>The client gets an error of ours in the place of the server's.</summary>
    private bool Replace(ErrorFields error)
    {
        error = session.Told(error);
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        new MessageWriter(output).WriteErrorResponse(error.Severity, error.SqlState, error.Message, error.Detail, error.Hint);
        _instead = output.WrittenSpan.ToArray();
        return false;
    }

    /// <summary>
    /// The client gets it as it is, and the server closes behind it; but that the server stops or breaks down does not say what
    /// became of a commit.
    /// </summary>
    private bool HandleFatal(ServerConnection server, ReadOnlySpan<byte> body)
    {
        ErrorFields fatal = ErrorFields.Parse(body);
        server.Close(fatal);
        if (fatal.Severity != "PANIC" && !fatal.SqlState.StartsWith("57P", StringComparison.Ordinal))
        {
            session.End(SessionEnd.Quiet(fatal.Message));
            return true;
        }

        exchange.EndOverServer(server, isAnswered: false);
        return false;
    }

    /// <summary>SQL has made or dropped prepared statements.</summary>
    private void HandleStatementTag(ServerConnection server, ReadOnlySpan<byte> tag)
    {
        if (CommandTag.DropsStatements(tag))
        {
            statements.Dropped(server);
        }
        else if (tag.SequenceEqual("DEALLOCATE"u8))
        {
            statements.Deallocated();
        }
        else if (tag.SequenceEqual("PREPARE"u8) && session.Mode != PoolMode.Session)
        {
            statements.KeepServer(server);
        }
    }

    /// <summary>What goes back to its default goes back to the client's startup packet.</summary>
    private void HandleSettingTag(ServerConnection server, ReadOnlySpan<byte> tag)
    {
        if (CommandTag.DiscardsAll(tag))
        {
            server.Startup = StartupParameters.Empty;
            session.Unreported = session.Unreported.BackTo(session.Startup);
        }

        if (CommandTag.Resets(tag) || (tag.SequenceEqual("SET"u8) && exchange.MaySetDefault))
        {
            exchange.MustRestore = true;
        }
    }

    /// <summary>An error that tells of a prepared statement; the client reads its own name for it.</summary>
    private bool HandleStatementError(ServerConnection server, ReadOnlySpan<byte> body)
    {
        StatementError error = StatementErrors.Read(body);
        if (error is StatementError.PlanInvalid or StatementError.Unknown)
        {
            server.Statements.DoubtLatest();
        }

        if (error == StatementError.Duplicate && !StatementErrors.Names(body, server.Statements))
        {
            server.MarkDirty(); // A name that we did not know of.
        }

        if (error is StatementError.None or StatementError.PlanInvalid || !StatementErrors.TryRename(body, statements, server, out byte[] renamed))
        {
            return true;
        }

        _instead = renamed;
        return false;
    }

    /// <summary>"cached plan must not change result type", before anything of the batch went to the client: it runs again, unseen.</summary>
    private bool IsReplanned(ServerConnection server, ReplyVerdict verdict, byte type, ReadOnlySpan<byte> body)
    {
        if (type != BackendMessage.ErrorResponse || verdict != ReplyVerdict.Forward || StatementErrors.Read(body) != StatementError.PlanInvalid || !exchange.CanReplan)
        {
            return false;
        }

        server.Statements.DoubtLatest();
        exchange.Replan();
        return true;
    }

    /// <summary>What a ReadyForQuery says of the server, whoever it is for; false when it says nothing that exists.</summary>
    private bool TakeStatus(ServerConnection server, ReadOnlySpan<byte> body)
    {
        if (body[0] is not ((byte)'I' or (byte)'T' or (byte)'E'))
        {
            // The client still waits for this message: its request has no known end.
            EndOverViolation(server, "protocol violation: malformed ReadyForQuery from server", isAnswered: false);
            return false;
        }

        server.Status = body[0];
        return true;
    }

    private bool HandleReady(ServerConnection server, ReadOnlySpan<byte> body)
    {
        if (!TakeStatus(server, body))
        {
            return false;
        }

        long now = session.Thread.Now;
        server.Statements.Round++;
        session.Stats.QueryTime += now - clock.QueryStart;
        session.Stats.Queries++;
        exchange.RequestEnded();
        clock.IdleSince = now;
        clock.QueryStart = now;
        if (body[0] == 'I')
        {
            session.Stats.Transactions++;
            session.Stats.TransactionTime += now - clock.TransactionStart;
            clock.TransactionStart = now;
            if (session.SplitRoute is { HasChangedNames: true } route)
            {
                route.HasChangedNames = false;
                session.Pool.ByHost?.Cluster.Catalogue.Changed();
            }
        }
        else if (session.Mode == PoolMode.Statement)
        {
            session.End(SessionEnd.Over(SessionErrors.NoTransactions.Because(
                "The request has left a transaction open.", session.Configuration, session.Identity.Database, session.Identity.User)));
            return false;
        }

        return true;
    }

    private bool HandleParameter(ServerConnection server, ReadOnlySpan<byte> body, bool isOurs)
    {
        if (body.IsEmpty)
        {
            // Longer than a block: it passes, but nobody knows what it says.
            server.MarkDirty();
            return !isOurs;
        }

        int index = server.Record(body, out string value);
        if (server.Failure != null)
        {
            exchange.EndOverServer(server);
            return false;
        }

        if (index < 0)
        {
            return true;
        }

        // What our own SET brought about the client knows already, unless the server spells it differently.
        bool isNews = session.Parameters[index] != value;
        session.Parameters = session.Parameters.With(index, value, reported: true);
        return !isOurs || isNews;
    }

    private void HandleUnexpected(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        if (type == BackendMessage.ErrorResponse && !body.IsEmpty)
        {
            // Unasked for: the server says goodbye (idle_in_transaction_session_timeout, pg_terminate_backend …).
            // Its end is told to the client, if it matters to it, by Closed.
            server.Close(ErrorFields.Parse(body));
            return;
        }

        EndOverViolation(server, $"protocol violation: unexpected message {BackendFrame.Describe(type)} from server");
    }

    /// <summary>The server makes no sense: it is closed, never guessed at, and the client is told.</summary>
    private void EndOverViolation(ServerConnection server, string problem, bool isAnswered = true)
    {
        server.Close(ServerErrors.Violation.Fields(problem));
        exchange.EndOverServer(server, isAnswered: isAnswered);
    }
}
