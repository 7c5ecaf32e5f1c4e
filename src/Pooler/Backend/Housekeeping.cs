using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Backend;

/// <summary>
/// Brings a server that no client holds back to a known state: discard what is still owed, end COPY and transaction, reset,
/// check. One deadline for all of it, else the server is closed. Nothing it reads reaches a client.
/// </summary>
internal sealed class Housekeeping : ServerOwner
{
    private enum Step
    {
        Drain,
        Rollback,
        Queries,
        WarmUp,
        Done,
    }

    /// <summary>Brings a server back to its login, whatever it was used for.</summary>
    public const string DiscardAll = "DISCARD ALL";

    private readonly ServerConnection _server;
    private readonly ReplyQueue _replies;
    private readonly Action<ServerConnection> _done;
    private readonly ServerOwner _pool;
    private readonly Queue<string> _queries;
    private readonly bool _errorsAreFatal;
    private readonly DeadlineTimer _deadline;
    private readonly CancelTimer _again;
    private readonly TimeSpan _timeout;
    private string _limit = "server_cleanup_timeout";
    private Step _step;
    private long _cancelAfter = 50_000;
    private bool _cancelsLater, _isPatient;
    private StatementWarmUp? _warmUp;

    private Housekeeping(
        ServerConnection server,
        ReplyQueue replies,
        IEnumerable<string> queries,
        bool errorsAreFatal,
        ServerOwner pool,
        Action<ServerConnection> done,
        TimeSpan timeout)
    {
        _timeout = timeout;
        _server = server;
        _replies = replies;
        _queries = new Queue<string>(queries);
        _errorsAreFatal = errorsAreFatal;
        _pool = pool;
        _done = done;
        _deadline = new DeadlineTimer(this);
        _again = new CancelTimer(this);
    }

    /// <summary>
    /// Takes a server over from a client that has left: <paramref name="replies"/> is what the server still owes it. A running
    /// query is cancelled, a COPY failed, an open batch synced, a transaction rolled back, then each of
    /// <paramref name="queries"/> run. <paramref name="done"/> gets the clean server; if it cannot be had, <paramref name="pool"/> gets Closed.
    /// </summary>
    public static void CleanUp(
        ServerConnection server, ReplyQueue replies, IEnumerable<string> queries, TimeSpan timeout, ServerOwner pool, Action<ServerConnection> done)
    {
        var keeper = new Housekeeping(server, replies, queries, errorsAreFatal: true, pool, done, timeout);
        keeper.TakeOver();
        keeper.SetDeadline();
        keeper.BreakOff(cancel: true);
    }

    /// <summary>
    /// The same for a client that said goodbye (Terminate) behind its requests: PostgreSQL would run them to their end, so
    /// nothing is cancelled before <paramref name="patience"/> is over (zero: never), and the deadline begins when they are done.
    /// </summary>
    public static void FinishThenCleanUp(
        ServerConnection server, ReplyQueue replies, IEnumerable<string> queries, TimeSpan timeout, TimeSpan patience, ServerOwner pool, Action<ServerConnection> done)
    {
        var keeper = new Housekeeping(server, replies, queries, errorsAreFatal: true, pool, done, timeout);
        keeper.TakeOver();
        keeper.BreakOff(cancel: false);
        if (patience > TimeSpan.Zero && keeper._step == Step.Drain && keeper._replies.Count > 0)
        {
            keeper._isPatient = true;
            server.Thread.Wheel.Set(keeper._deadline, server.Thread.Now + (long)patience.TotalMicroseconds);
        }
    }

    /// <summary>Runs queries on an idle server (a check, connect_query). An error closes the server, or is ignored.</summary>
    public static void Run(
        ServerConnection server, IEnumerable<string> queries, bool errorsAreFatal, TimeSpan timeout, ServerOwner pool, Action<ServerConnection> done)
    {
        var keeper = new Housekeeping(server, new ReplyQueue(), queries, errorsAreFatal, pool, done, timeout) { _limit = "server_connect_timeout" };
        keeper.TakeOver();
        keeper.SetDeadline();
        keeper.Next();
    }

    /// <summary>Prepares statements on a server that nobody has had; what cannot be prepared is left out.</summary>
    public static void WarmUp(
        ServerConnection server, ReadOnlySpan<PreparedStatement> statements, TimeSpan timeout, ServerOwner pool, Action<ServerConnection> done)
    {
        var keeper = new Housekeeping(server, new ReplyQueue(), [], errorsAreFatal: false, pool, done, timeout) { _step = Step.WarmUp, _limit = "server_connect_timeout" };
        keeper.TakeOver();
        keeper.SetDeadline();
        keeper._warmUp = StatementWarmUp.Send(server, statements, keeper._replies);
    }

    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int at = 0;
        while (at < data.Length)
        {
            if (server.FrameRemaining > 0)
            {
                int part = (int)Math.Min(server.FrameRemaining, data.Length - at);
                server.FrameRemaining -= part;
                at += part;
                continue;
            }

            ReadOnlySpan<byte> rest = data[at..];
            if (rest.Length < FrameHeader.Size)
            {
                break;
            }

            long length = FrameHeader.FrameLength(rest);
            if (!BackendFrame.IsPossible(rest[0], length))
            {
                server.Close(ServerErrors.Violation.Fields(BackendFrame.Problem(rest)));
                return data.Length;
            }

            bool isShort = length <= BlockPool.BlockSize;
            if (isShort && rest.Length < length && rest[0] is not (BackendMessage.DataRow or BackendMessage.CopyData))
            {
                break;
            }

            int taken = (int)Math.Min(length, rest.Length);
            server.FrameRemaining = length - taken;
            at += taken;
            if (!Handle(rest[0], isShort && taken == length ? rest[FrameHeader.Size..taken] : default))
            {
                return data.Length;
            }

            if (_step == Step.Done)
            {
                return at;
            }
        }

        return at;
    }

    internal override void CancelEnded(ServerConnection server) => GoOnIfSettled();

    internal override void Closed(ServerConnection server)
    {
        server.Thread.Wheel.Clear(_deadline);
        server.Thread.Wheel.Clear(_again);
        _step = Step.Done;
        _pool.Closed(server);
    }

    private void TakeOver()
    {
        _server.Owner = this;
        _server.Socket.Input.Wake(); // What the last owner left unread is ours.
    }

    /// <summary>0 = no limit, as for the login.</summary>
    private void SetDeadline()
    {
        _server.Thread.Wheel.Clear(_deadline);
        if (_timeout > TimeSpan.Zero)
        {
            _server.Thread.Wheel.Set(_deadline, _server.Thread.Now + (long)_timeout.TotalMicroseconds);
        }
    }

    /// <summary>Makes whatever the client left running come to its end.</summary>
    private void BreakOff(bool cancel)
    {
        DropAnswers();
        bool isRunning = cancel && _replies.Count > 0 && !_replies.InCopy;
        if (_replies.InCopy)
        {
            FailCopy();
        }

        EndBatch();
        _server.Outbox.Flush();
        if (isRunning)
        {
            // What we sent ahead of the request (SET, Close) must not be hit: the request would run with another client's
            // settings, or find its statements.
            _cancelsLater = _replies.HeadUse == ReplyUse.Swallow;
            if (!_cancelsLater)
            {
                CancelWhenSafe();
            }
        }

        GoOnIfSettled();
    }

    /// <summary>
    /// Outside a transaction the first of several requests may be a BEGIN: were that hit, what follows would commit by itself. A
    /// BEGIN takes no time, so only what has run for a while is cancelled then.
    /// </summary>
    private void CancelWhenSafe()
    {
        if (_server.Status == 'I' && _replies.Count > 1)
        {
            _cancelsLater = false;
            _server.Thread.Wheel.Set(_again, _server.Thread.Now + _cancelAfter);
        }
        else
        {
            Cancel();
        }
    }

    private void Cancel()
    {
        _cancelsLater = false;
        CancelSender.Send(_server, _timeout, IsDraining, () =>
        {
            if (IsDraining())
            {
                // It may have come between two requests, where PostgreSQL forgets it, or more of them follow.
                _server.Thread.Wheel.Set(_again, _server.Thread.Now + _cancelAfter);
                _cancelAfter *= 2;
            }
        });
    }

    private bool IsDraining() => _step == Step.Drain && _replies.Count > 0 && !_server.IsClosed && _server.Failure == null;

    /// <summary>Sync alone would commit what the client has not: as when PostgreSQL loses a client, a batch without its Sync is rolled back.</summary>
    private void EndBatch()
    {
        if (_replies.BatchOpen)
        {
            new MessageWriter(_server.Outbox).WriteQuery("ROLLBACK");
            _replies.Push(ReplyKind.Query, ReplyUse.Swallow);
            new MessageWriter(_server.Outbox).WriteSync();
            _replies.Push(ReplyKind.Sync);
        }
    }

    /// <summary>What we would have answered ourselves nobody asks for any more.</summary>
    private void DropAnswers()
    {
        while (_replies.IsAnswerDue)
        {
            _replies.TakeAnswer();
        }
    }

    private void FailCopy()
    {
        new MessageWriter(_server.Outbox).WriteCopyFail("client disconnected");
        _replies.Push(ReplyKind.CopyEnd);
    }

    /// <summary>Takes one frame; false when the server was closed over it. The body is empty when it was too long to matter.</summary>
    private bool Handle(byte type, ReadOnlySpan<byte> body)
    {
        ReplyVerdict verdict = _replies.Accept(type);
        DropAnswers();
        switch (verdict)
        {
            case ReplyVerdict.Unexpected:
                if (type == BackendMessage.ErrorResponse)
                {
                    _server.Close(ErrorFields.Parse(body));
                    return false;
                }

                _server.Close(ServerErrors.Violation.Fields($"protocol violation: unexpected message {BackendFrame.Describe(type)} from server"));
                return false;
            case ReplyVerdict.Asynchronous when type == BackendMessage.ParameterStatus && !body.IsEmpty:
                _server.Record(body, out string _);
                return _server.Failure == null;
        }

        switch (type)
        {
            case BackendMessage.CommandComplete when body.Length > 0:
                HandleTag(body[..^1]);
                break;
            case BackendMessage.CopyInResponse when _replies.InCopy:
                FailCopy();
                EndBatch();
                _server.Outbox.Flush();
                break;
            case BackendMessage.ErrorResponse when _step is not Step.Drain:
                _warmUp?.Failed();
                if (!_errorsAreFatal)
                {
                    _server.Complaint ??= ErrorFields.Parse(body);
                }

                if (_step == Step.Rollback || _errorsAreFatal)
                {
                    _server.Close(ErrorFields.Parse(body));
                    return false;
                }

                break;
            case BackendMessage.ReadyForQuery:
                if (body[0] is not ((byte)'I' or (byte)'T' or (byte)'E'))
                {
                    _server.Close(ServerErrors.Violation.Fields("protocol violation: malformed ReadyForQuery from server"));
                    return false;
                }

                _server.Status = body[0];
                _warmUp?.Ready();
                if (_cancelsLater && _replies.Count > 0)
                {
                    CancelWhenSafe();
                }
                else if (_again.IsSet && IsDraining())
                {
                    _server.Thread.Wheel.Set(_again, _server.Thread.Now + _cancelAfter); // Another one runs now.
                }

                GoOnIfSettled();
                break;
        }

        return true;
    }

    private void HandleTag(ReadOnlySpan<byte> tag)
    {
        if (CommandTag.DropsStatements(tag))
        {
            _server.Statements.Clear();
        }

        if (CommandTag.DiscardsAll(tag))
        {
            _server.Startup = StartupParameters.Empty;
        }
        else if (_step == Step.Drain && CommandTag.LeavesState(tag) && !_queries.Contains(DiscardAll))
        {
            _queries.Enqueue(DiscardAll); // It was still under way when its client left.
        }
    }

    private void GoOnIfSettled()
    {
        if (_step != Step.Done && !_server.IsClosed && _server.Failure == null && _replies.IsSettled && _server.CancelsInFlight == 0 && _server.FrameRemaining == 0)
        {
            Next();
        }
    }

    private void Next()
    {
        _server.Thread.Wheel.Clear(_again);
        if (!_deadline.IsSet || _isPatient)
        {
            _isPatient = false;
            SetDeadline();
        }

        if (_step == Step.Drain && _server.Status != 'I')
        {
            _step = Step.Rollback;
            Send("ROLLBACK");
        }
        else if (_server.Status == 'I' && _queries.TryDequeue(out string? query))
        {
            _step = Step.Queries;
            Send(query);
        }
        else if (_server.Status == 'I')
        {
            _step = Step.Done;
            _server.Thread.Wheel.Clear(_deadline);
            _done(_server);
        }
        else
        {
            _server.Close(ServerErrors.Violation.Fields($"the server stayed in transaction state '{(char)_server.Status}'"));
        }
    }

    private void Send(string query)
    {
        _replies.Push(ReplyKind.Query, ReplyUse.Swallow);
        new MessageWriter(_server.Outbox).WriteQuery(query);
        _server.Outbox.Flush();
    }

    private sealed class CancelTimer(Housekeeping keeper) : WheelTimer
    {
        internal override void Expired()
        {
            if (keeper.IsDraining())
            {
                keeper.Cancel();
            }
        }
    }

    private sealed class DeadlineTimer(Housekeeping keeper) : WheelTimer
    {
        internal override void Expired()
        {
            if (keeper._isPatient)
            {
                keeper._isPatient = false;
                keeper.SetDeadline();
                keeper.Cancel();
                return;
            }

            keeper._server.Close($"the server did not come back to a known state in time ({keeper._limit})");
        }
    }
}
