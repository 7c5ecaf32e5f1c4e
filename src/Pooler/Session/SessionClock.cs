using Pooler.Config;
using Pooler.Net;

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
        long due = NearestDeadline(out SessionEnd? end);
        if (due > thread.Now)
        {
            if (due != Never)
            {
                thread.Wheel.Set(this, due);
            }
        }
        else if (end != null)
        {
            session.End(end);
        }
        else
        {
            Notified = true;
            session.NotifyQueued();
            thread.Wheel.Set(this, NearestDeadline(out _));
        }
    }

    private static bool HasTimeouts(PoolSettings settings) =>
        settings.QueryTimeout > TimeSpan.Zero || settings.TransactionTimeout > TimeSpan.Zero
        || settings.IdleTransactionTimeout > TimeSpan.Zero || settings.ClientIdleTimeout > TimeSpan.Zero
        || settings.ClientWriteTimeout > TimeSpan.Zero;

    /// <summary>The nearest deadline, and how the session ends by it (null: it only gets a notice).</summary>
    private long NearestDeadline(out SessionEnd? end)
    {
        PoolSettings s = session.Settings;
        long due = Never;
        SessionEnd? nearest = null;
        switch (session.Phase)
        {
            case SessionPhase.Waiting:
                // A client in the queue reads the setting's name, one whose server was cut off reads words (src/janitor.c).
                Consider(WaitSince, s.QueryWaitTimeout, "query_wait_timeout");
                Consider(WaitSince, s.QueryTimeout, "query_timeout");
                if (!Notified && s.QueryWaitNotify > TimeSpan.Zero && WaitSince + (long)s.QueryWaitNotify.TotalMicroseconds < due)
                {
                    due = WaitSince + (long)s.QueryWaitNotify.TotalMicroseconds;
                    nearest = null;
                }

                break;
            case SessionPhase.Idle:
                Consider(IdleSince, s.ClientIdleTimeout, "client_idle_timeout");
                break;
            case SessionPhase.Syncing or SessionPhase.Leased:
                if (session.AwaitsReplies)
                {
                    Consider(QueryStart, s.QueryTimeout, "query timeout");
                }
                else if (session.IsInTransaction)
                {
                    Consider(IdleSince, s.IdleTransactionTimeout, "idle transaction timeout");
                }
                else
                {
                    Consider(IdleSince, s.ClientIdleTimeout, "client_idle_timeout");
                }

                if (session.IsInTransaction || session.AwaitsReplies)
                {
                    Consider(TransactionStart, s.TransactionTimeout, "transaction timeout");
                }

                if (session.WriteStalledSince is var stalled and > 0)
                {
                    Consider(stalled, s.ClientWriteTimeout, "client_write_timeout: the client took no data", "08006");
                }

                break;
        }

        end = nearest;
        return due;

        void Consider(long since, TimeSpan timeout, string message, string sqlState = "08P01")
        {
            long at = since + (long)timeout.TotalMicroseconds;
            if (timeout > TimeSpan.Zero && at < due)
            {
                due = at;
                nearest = SessionEnd.Fatal(message, sqlState);
            }
        }
    }
}
