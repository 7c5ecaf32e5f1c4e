using System.Buffers.Binary;
using System.Text;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// One connection, as auth_user, over which auth_query is run for one user after another. It is nobody else's, so nothing that a
/// client has said or set can be in force on it (CVE-2025-12819). Lives on one I/O thread; opened when it is wanted, closed when it
/// has been idle.
/// </summary>
internal sealed class AuthQuery : ServerOwner
{
    private const int LongestFrame = 8_192;

    private static readonly ErrorFields s_unwanted = new("FATAL", "57014", "nobody waits for the answer any more", null, null);

    private readonly IoThread _thread;
    private readonly ServerTarget _target;
    private readonly StatementCatalogue _catalogue;
    private readonly byte[] _query;
    private readonly AuthQueryTimes _times;
    private readonly Queue<(string User, Func<bool> IsWanted, Action<AuthAnswer> Done)> _waiting = new();
    private readonly AuthTimer _timer;
    private ServerConnection? _server;
    private (string User, Func<bool> IsWanted, Action<AuthAnswer> Done)? _asked;
    private AuthAnswer _answer;
    private ErrorFields? _failure;
    private long _failedUntil, _openedAt;
    private int _rows, _tries;
    private bool _isRetired, _isUsed, _isLeaving;

    public AuthQuery(IoThread thread, ServerTarget target, StatementCatalogue catalogue, string query, AuthQueryTimes times)
    {
        (_thread, _target, _catalogue, _query, _times) = (thread, target, catalogue, Encoding.UTF8.GetBytes(query), times);
        _timer = new AuthTimer(this);
    }

    /// <summary>Nothing is asked and nothing is open: it can be made anew when it is wanted.</summary>
    public bool IsUnused => _asked == null && _waiting.Count == 0 && _server == null;

    /// <summary>On its thread; both are called there, too.</summary>
    /// <param name="isWanted">False: nobody waits for the answer any more, and a question that has not been put is left out.</param>
    public void Ask(string user, Func<bool> isWanted, Action<AuthAnswer> done)
    {
        _waiting.Enqueue((user, isWanted, done));
        Next();
    }

    /// <summary>Answers what it has been asked, then goes.</summary>
    public void Retire()
    {
        _isRetired = true;
        Next();
    }

    internal override int Receive(ServerConnection server, ReadOnlySpan<byte> data)
    {
        int at = 0;
        while (data.Length - at >= FrameHeader.Size)
        {
            ReadOnlySpan<byte> rest = data[at..];
            long length = FrameHeader.FrameLength(rest);
            if (!BackendFrame.IsPossible(rest[0], length) || length > LongestFrame)
            {
                server.Close(ServerErrors.Violation.Fields(length > LongestFrame ? "auth_query: the answer is too long" : BackendFrame.Problem(rest)));
                return data.Length;
            }

            if (rest.Length < length)
            {
                break;
            }

            at += (int)length;
            Take(rest[0], rest[FrameHeader.Size..(int)length]);
        }

        return at;
    }

    internal override void Closed(ServerConnection server)
    {
        _thread.Wheel.Clear(_timer);
        _server = null;
        ErrorFields failure = server.Failure ?? ServerErrors.Crashed.Fields();
        bool mayTryAnother = !server.IsLoggedIn && ++_tries < _target.Hosts.Length;
        if (_asked is { } asked)
        {
            _asked = null;
            asked.Done(new AuthAnswer(null, failure));
        }

        if (!mayTryAnother && !server.IsLoggedIn)
        {
            // As server_login_retry elsewhere: a server that refuses is not asked for each client anew.
            (_failure, _failedUntil, _tries) = (failure, _thread.Now + (long)_times.Retry.TotalMicroseconds, 0);
        }

        Next();
    }

    private void Next()
    {
        if (_asked != null)
        {
            return;
        }

        while (_waiting.TryPeek(out (string User, Func<bool> IsWanted, Action<AuthAnswer> Done) oldest) && !oldest.IsWanted())
        {
            _waiting.Dequeue();
            oldest.Done(new AuthAnswer(null, s_unwanted));
        }

        if (_waiting.Count == 0)
        {
            Rest();
        }
        else if (_server is { IsLoggedIn: true, IsClosed: false } && !_isLeaving)
        {
            if (IsOutOfDate)
            {
                Leave("auth_query: server lifetime over, or its host's name stands for another address");
            }
            else
            {
                Send(_waiting.Dequeue());
            }
        }
        else if (_server == null && _thread.Now < _failedUntil)
        {
            while (_waiting.TryDequeue(out (string User, Func<bool> IsWanted, Action<AuthAnswer> Done) next))
            {
                next.Done(new AuthAnswer(null, _failure));
            }
        }
        else if (_server == null)
        {
            _server = new ServerConnection(_thread, _target, _target.Hosts[_target.NextHost()], this, _catalogue, static server => ((AuthQuery)server.Owner).LoggedIn());
            (_openedAt, _isUsed, _isLeaving) = (_thread.Now, false, false);
            _server.Start();
        }
    }

    /// <summary>As other servers at their release: it would ask the old host for ever after a switchover by name.</summary>
    private bool IsOutOfDate => _isUsed && (_server!.IsObsolete || _thread.Now - _openedAt >= (long)_times.Lifetime.TotalMicroseconds);

    /// <summary>Who asks meanwhile waits for the next connection.</summary>
    private void Leave(string reason)
    {
        _isLeaving = true;
        _server?.Terminate(reason);
    }

    private void LoggedIn()
    {
        _tries = 0;
        Next();
    }

    private void Rest()
    {
        if (_isRetired)
        {
            Leave("auth_query: configuration changed");
        }
        else if (_server != null)
        {
            SetTimer(_times.Idle);
        }
    }

    private void Send((string User, Func<bool> IsWanted, Action<AuthAnswer> Done) next)
    {
        (_asked, _answer, _rows, _isUsed) = (next, default, 0, true);
        SetTimer(_times.Query);
        Outbox outbox = _server!.Outbox;
        StatementMessages.WriteParse(outbox, [], [.. _query, 0, 0, 0]);
        StatementMessages.WriteRunUnnamed(outbox, Encoding.UTF8.GetBytes(next.User));
        new MessageWriter(outbox).WriteSync();
        outbox.Flush();
    }

    private void Take(byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case BackendMessage.DataRow:
                TakeRow(body);
                break;
            case BackendMessage.ErrorResponse:
                _answer = new AuthAnswer(null, ErrorFields.Parse(body));
                break;
            case BackendMessage.ReadyForQuery when _asked is { } asked:
                _asked = null;
                asked.Done(_answer);
                Next();
                break;
        }
    }

    /// <summary>A name, which must be the one that was asked for, and a secret; NULL never matches (PgBouncer).</summary>
    private void TakeRow(ReadOnlySpan<byte> body)
    {
        _rows++;
        string problem = "auth_query must return one row of two columns: the user's name and its secret";
        if (_rows == 1 && TryReadRow(body, out string? name, out string? secret) && name == _asked?.User)
        {
            _answer = new AuthAnswer(secret ?? "", null);
        }
        else
        {
            _answer = new AuthAnswer(null, ServerErrors.Violation.Fields(problem));
        }
    }

    private static bool TryReadRow(ReadOnlySpan<byte> body, out string? name, out string? secret)
    {
        (name, secret) = (null, null);
        return body.Length >= 2 && BinaryPrimitives.ReadInt16BigEndian(body) == 2 && TryReadValue(ref body, 2, out name) && TryReadValue(ref body, 0, out secret);
    }

    private static bool TryReadValue(ref ReadOnlySpan<byte> body, int skip, out string? value)
    {
        value = null;
        body = body[skip..];
        int length = body.Length >= 4 ? BinaryPrimitives.ReadInt32BigEndian(body) : int.MaxValue;
        if (length > body.Length - 4)
        {
            return false;
        }

        value = length < 0 ? null : Encoding.UTF8.GetString(body.Slice(4, length));
        body = body[(4 + Math.Max(0, length))..];
        return true;
    }

    /// <summary>0 = no limit, as for every server.</summary>
    private void SetTimer(TimeSpan limit)
    {
        _thread.Wheel.Clear(_timer);
        if (limit > TimeSpan.Zero)
        {
            _thread.Wheel.Set(_timer, _thread.Now + (long)limit.TotalMicroseconds);
        }
    }

    private void Expired()
    {
        if (_asked != null)
        {
            _server?.Close(ServerErrors.CannotBeUsed.Fields("auth_query has not been answered within server_connect_timeout") with { SqlState = "57014" });
        }
        else
        {
            Leave("server idle timeout");
        }
    }

    private sealed class AuthTimer(AuthQuery query) : WheelTimer
    {
        internal override void Expired() => query.Expired();
    }
}
