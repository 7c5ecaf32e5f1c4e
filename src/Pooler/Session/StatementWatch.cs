using System.Text;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Protocol;
using Pooler.Sql;
using Pooler.Statements;

namespace Pooler.Session;

/// <summary>
/// Follows the statements of one client from when they go to a server to the end of their answers, for SHOW STATEMENTS, the logs and
/// traces. Its queue goes with the Queries and Executes of the <see cref="ReplyQueue"/>; what they run it knows from their texts, or
/// from those that were parsed and bound before.
/// </summary>
internal sealed class StatementWatch
{
    private const int FirstSize = 4, KeptSize = 64;

    private readonly ClientSession _session;
    private readonly StatementTable _table;
    private readonly StatementTexts _texts;

    private StatementRun[] _runs = new StatementRun[FirstSize];
    private int _head, _count;

    // Of the lease: when it was asked for and given, and what has been told of that.
    private long _asked, _leased, _connectBegan, _loggedIn, _lastEnd, _sent;
    private HostAddress _host;
    private bool _isFirst, _isLogged;

    public StatementWatch(ClientSession session, StatementTable table)
    {
        _session = session;
        _table = table;
        _texts = new StatementTexts(session, table);
    }

    private StatementSettings Settings => _table.Settings;

    private long Now => _table.Thread.Now;

    /// <summary>Nothing of the client's is under way: what is wanted of it may have changed.</summary>
    public void Look()
    {
        _isLogged = false;
        foreach (QueryLogRule rule in Settings.Logged ?? [])
        {
            _isLogged |= rule.IsOf(_session.Client.Id & int.MaxValue, _session.Identity.User, _session.Identity.Database, Now);
        }

        if (_runs.Length > KeptSize)
        {
            _runs = new StatementRun[FirstSize];
            _head = 0;
        }
    }

    /// <summary>The client has got a server, which it asked for at that time.</summary>
    public void Leased(ServerConnection server, long asked)
    {
        (_asked, _leased, _connectBegan, _loggedIn) = (asked, Now, server.StartedAt, server.LoggedInAt);
        _host = server.Host;
        _isFirst = true;
        _texts.Leased();
        Clear();
    }

    /// <summary>A message has gone to the server.</summary>
    /// <param name="runs">It is one that the <see cref="ReplyQueue"/> counts as a statement.</param>
    /// <param name="prepared">Of a Bind: the shared statement that it names.</param>
    public void Sent(ReadOnlySpan<byte> frame, bool runs, PreparedStatement? prepared)
    {
        ReadOnlySpan<byte> body = frame[FrameHeader.Size..];
        switch (frame[0])
        {
            case FrontendMessage.Query:
                if (runs)
                {
                    Push(_texts.Find(body), Settings.SampleRatio > 0 ? _texts.TraceOf(body) : default);
                }

                break;
            case FrontendMessage.Parse:
                _texts.Parse(body);
                break;
            case FrontendMessage.Bind:
                _texts.Bind(body, prepared);
                break;
            case FrontendMessage.Execute:
                if (runs)
                {
                    StatementEntry? entry = _texts.Executed(body, out TraceParent parent);
                    Push(entry, parent);
                }

                break;
        }
    }

    /// <summary>So many bytes of answers have gone to the client.</summary>
    public void Count(int bytes) => _sent += bytes;

    /// <summary>The server has sent a message, which the <see cref="ReplyQueue"/> has taken.</summary>
    /// <param name="isOfStatement">A Query or an Execute was the oldest request.</param>
    /// <param name="ended">How many of them it has ended: the oldest, and with an error those that the server skips.</param>
    public void Replied(byte type, ReadOnlySpan<byte> body, bool isOfStatement, int ended)
    {
        if (_count > 0 && (isOfStatement || ended > 0))
        {
            ref StatementRun run = ref _runs[_head];
            if (run.Trace is { Answered: 0 } trace)
            {
                trace.Answered = Now;
            }

            if (type == BackendMessage.CommandComplete && !body.IsEmpty)
            {
                run.Rows += CommandTag.RowsOf(body[..^1]);
            }
            else if (type == BackendMessage.ErrorResponse)
            {
                run.SqlState = StatementOutcome.StateOf(ErrorFields.CodeOf(body));
            }

            if (ended > 0)
            {
                End(run);
                Drop(ended);
            }
        }

        if (type == BackendMessage.ReadyForQuery)
        {
            _sent = 0;
            if (body is [(byte)'I'])
            {
                _texts.TransactionEnded();
            }
        }
    }

    /// <summary>What was sent counts as not sent, or is no more to be told of.</summary>
    public void Clear()
    {
        Drop(_count);
        _sent = 0;
    }

    /// <summary>The client or its server ends: what was under way has failed.</summary>
    public void Ended()
    {
        if (_count > 0)
        {
            ref StatementRun run = ref _runs[_head];
            run.SqlState = run.SqlState == 0 ? StatementOutcome.Unanswered : run.SqlState;
            End(run);
        }

        Clear();
    }

    private void Push(StatementEntry? entry, in TraceParent parent)
    {
        if (_count == _runs.Length)
        {
            Grow();
        }

        bool isTraced = Settings.SampleRatio > 0 && entry != null && (parent.IsSet ? parent.IsSampled : Random.Shared.NextDouble() < Settings.SampleRatio);
        _runs[(_head + _count++) & (_runs.Length - 1)] = new StatementRun
        {
            Entry = entry,
            Sent = Now,
            Wait = _isFirst ? _leased - _asked : 0,
            Trace = isTraced ? NewTrace(entry!, parent) : null,
        };
        _isFirst = false;
    }

    private TraceRecord NewTrace(StatementEntry entry, in TraceParent parent) => new()
    {
        Parent = parent,
        Statement = entry,
        Asked = _isFirst ? _asked : 0,
        Leased = _isFirst ? _leased : 0,
        ConnectBegan = _isFirst && _connectBegan >= _asked ? _connectBegan : 0,
        LoggedIn = _loggedIn,
        Sent = Now,
    };

    private void End(in StatementRun run)
    {
        if (run.Entry is not { } entry)
        {
            return;
        }

        // Of several in one go the server runs each when it is through with the one before.
        long time = Now - Math.Max(run.Sent, _lastEnd);
        _lastEnd = Now;
        var outcome = new StatementOutcome(time, run.Wait, run.Rows, _sent, run.SqlState);
        _sent = 0;
        if (Settings.Counts)
        {
            entry.Count(outcome, _host);
        }

        bool isSlow = time + run.Wait >= Settings.SlowAfter;
        if ((isSlow || _isLogged) && _table.Lines.MayWrite(Settings.LinesPerSecond))
        {
            string client = ClientIdentity.LogName(_session.Client, _session.Identity, Settings.ListenPort);
            _table.Lines.Write(isSlow, client, outcome, _host, Encoding.UTF8.GetString(entry.Text));
        }

        if (run.Trace is { } trace)
        {
            trace.Ended = Now;
            trace.Rows = run.Rows;
            trace.SqlState = outcome.SqlStateText;
            trace.Host = _host;
            _table.Traces.Add(trace);
        }
    }

    private void Drop(int count)
    {
        for (; count > 0 && _count > 0; count--, _count--)
        {
            _runs[_head] = default;
            _head = (_head + 1) & (_runs.Length - 1);
        }
    }

    private void Grow()
    {
        var larger = new StatementRun[_runs.Length * 2];
        for (int i = 0; i < _count; i++)
        {
            larger[i] = _runs[(_head + i) & (_runs.Length - 1)];
        }

        _runs = larger;
        _head = 0;
    }
}
