using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Statements;

/// <summary>
/// The lines that one I/O thread logs of statements, so many a second: a flood of them fills no disk, and how many were left out is
/// said.
/// </summary>
internal sealed class StatementLines(IoThread thread, ILogger log) : WheelTimer
{
    private const long Second = 1_000_000;

    private long _since, _leftOut;
    private int _written;

    /// <summary>Whether one more may be written now; if not it is counted.</summary>
    public bool MayWrite(int perSecond)
    {
        if (thread.Now - _since >= Second)
        {
            _since = thread.Now;
            _written = 0;
        }

        if (_written < perSecond)
        {
            _written++;
            return true;
        }

        _leftOut++;
        if (!IsSet)
        {
            thread.Wheel.Set(this, _since + Second);
        }

        return false;
    }

    /// <param name="isSlow">Or it was asked for on the console.</param>
    public void Write(bool isSlow, string client, in StatementOutcome outcome, HostAddress host, string text)
    {
        string error = outcome.SqlStateText ?? "none", place = host.ToString();
        (double time, double wait) = (outcome.Time / 1e3, outcome.Wait / 1e3);
        if (isSlow)
        {
            log.SlowStatement(client, time, wait, outcome.Rows, error, place, text);
        }
        else
        {
            log.LoggedStatement(client, time, wait, outcome.Rows, error, place, text);
        }
    }

    internal override void Expired()
    {
        log.StatementsLeftOut(_leftOut);
        _leftOut = 0;
    }
}
