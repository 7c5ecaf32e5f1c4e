using System.Globalization;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>
/// The deadlines of one session in one timer. Marks are thread-clock microseconds; which deadline counts follows from the
/// session's phase. Without timeouts configured the hot path only stores the marks.
/// </summary>
internal sealed class SessionClock(ClientSession session) : WheelTimer
{
    private bool _hasTimeouts = HasTimeouts(session.Settings);

    public long QueryStart, TransactionStart, IdleSince = session.Thread.Now, WaitSince;
    public bool Notified;

    public void Use(PoolSettings settings) => _hasTimeouts = HasTimeouts(settings);

    /// <summary>To be called whenever the session's phase, or what it waits for in it, has changed.</summary>
    public void Arm(IoThread thread)
    {
        if (_hasTimeouts || session.Phase == SessionPhase.Waiting || IsSet)
        {
            thread.Wheel.Set(this, NearestDeadline(out _));
        }
    }

    internal override void Expired()
    {
        IoThread thread = session.Thread;
        long due = NearestDeadline(out ClientError? end);
        if (due > thread.Now)
        {
            if (due != Never)
            {
                thread.Wheel.Set(this, due);
            }
        }
        else if (end != null)
        {
            session.End(SessionEnd.Over(Explain(end, thread.Now)));
        }
        else
        {
            Notified = true;
            session.NotifyQueued();
            thread.Wheel.Set(this, NearestDeadline(out _));
        }
    }

    /// <summary>The error of a deadline that has passed, with what can be said of it.</summary>
    private ErrorFields Explain(ClientError error, long now)
    {
        (long since, string what) = error == SessionErrors.QueryWaitTimeout || error == SessionErrors.QueryTimeoutInQueue ? (WaitSince, session.DescribeWait())
            : error == SessionErrors.QueryTimeout ? (QueryStart, "The request has no answer yet.")
            : error == SessionErrors.TransactionTimeout ? (TransactionStart, "The transaction is still open.")
            : error == SessionErrors.ClientWriteTimeout ? (session.WriteStalledSince, $"The client has not read {session.Client.Outbox.Pending} bytes.")
            : (IdleSince, session.IsInTransaction ? "The client was silent in a transaction." : "The client asked for nothing.");
        double seconds = (now - since) / 1e6;
        string where = session.Server is { } server ? $" Its server is {server.Host}, process {server.ProcessId}." : "";
        return error.Because(string.Create(CultureInfo.InvariantCulture, $"{what} That was {seconds:0.0} s.{where}"), session.Configuration, session.Identity.Database, session.Identity.User);
    }

    private static bool HasTimeouts(PoolSettings settings) =>
        settings.QueryTimeout > TimeSpan.Zero || settings.TransactionTimeout > TimeSpan.Zero
        || settings.IdleTransactionTimeout > TimeSpan.Zero || settings.ClientIdleTimeout > TimeSpan.Zero
        || settings.ClientWriteTimeout > TimeSpan.Zero;

    /// <summary>The nearest deadline, and the error the session ends with (null: it only gets a notice).</summary>
    private long NearestDeadline(out ClientError? end)
    {
        PoolSettings s = session.Settings;
        long due = Never;
        ClientError? nearest = null;
        switch (session.Phase)
        {
            case SessionPhase.Waiting:
                // A client in the queue reads the setting's name, one whose server was cut off reads words (src/janitor.c).
                Consider(WaitSince, s.QueryWaitTimeout, SessionErrors.QueryWaitTimeout);
                Consider(WaitSince, s.QueryTimeout, SessionErrors.QueryTimeoutInQueue);
                if (!Notified && s.QueryWaitNotify > TimeSpan.Zero && WaitSince + (long)s.QueryWaitNotify.TotalMicroseconds < due)
                {
                    due = WaitSince + (long)s.QueryWaitNotify.TotalMicroseconds;
                    nearest = null;
                }

                break;
            case SessionPhase.Idle:
                Consider(IdleSince, s.ClientIdleTimeout, SessionErrors.ClientIdleTimeout);
                break;
            case SessionPhase.Syncing or SessionPhase.Leased:
                if (session.AwaitsReplies)
                {
                    Consider(QueryStart, s.QueryTimeout, SessionErrors.QueryTimeout);
                }
                else if (session.IsInTransaction)
                {
                    Consider(IdleSince, s.IdleTransactionTimeout, SessionErrors.IdleTransactionTimeout);
                }
                else
                {
                    Consider(IdleSince, s.ClientIdleTimeout, SessionErrors.ClientIdleTimeout);
                }

                if (session.IsInTransaction || session.AwaitsReplies)
                {
                    Consider(TransactionStart, s.TransactionTimeout, SessionErrors.TransactionTimeout);
                }

                if (session.WriteStalledSince is var stalled and > 0)
                {
                    Consider(stalled, s.ClientWriteTimeout, SessionErrors.ClientWriteTimeout);
                }

                break;
        }

        end = nearest;
        return due;

        void Consider(long since, TimeSpan timeout, ClientError error)
        {
            long at = since + (long)timeout.TotalMicroseconds;
            if (timeout > TimeSpan.Zero && at < due)
            {
                due = at;
                nearest = error;
            }
        }
    }
}
