using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// SUSPEND: no server is lent any more, idle ones stay open, and the answer comes when none is with a client. PgBouncer stops in the
/// middle of transactions, for another process to take its sockets; here nobody takes them (so_reuseport), so it waits for their
/// ends, suspend_timeout at most.
/// </summary>
internal sealed class Suspend : ConsoleCommand
{
    internal override bool IsInvalid(ConsoleStatement statement) => statement.Argument.Length > 0;

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        Pools pools = session.Console.Pools;
        if (pools.Suspend())
        {
            session.Console.Log.Note("SUSPEND command issued");
            await WaitAsync(session, pools);
        }
        else
        {
            session.Error((pools.PauseOfAll == PauseMode.None ? ConsoleErrors.PausedDatabases : ConsoleErrors.AlreadyPaused).Fields());
        }
    }

    private static async ValueTask WaitAsync(ConsoleSession session, Pools pools)
    {
        IoThread thread = session.Client.Owner;
        TimeSpan limit = session.Console.Live.Current.Get(Settings.SuspendTimeout);
        long until = limit > TimeSpan.Zero ? thread.Now + (long)limit.TotalMicroseconds : long.MaxValue;
        bool IsQuiet() => pools.OpenServers(null, static s => s.State != SlotState.Idle) == 0;
        bool hasWaited = await ConsoleWait.Until(session, () => IsQuiet() || thread.Now >= until || pools.PauseOfAll != PauseMode.Suspended);
        if (pools.PauseOfAll != PauseMode.Suspended)
        {
            session.Error(ConsoleErrors.ResumedSuspend.Fields());
        }
        else if (IsQuiet())
        {
            session.Complete("SUSPEND");
        }
        else
        {
            pools.Resume(null, thread.Now);
            session.Error((hasWaited ? ConsoleErrors.SuspendTimeout : ConsoleErrors.Canceled).Fields());
        }
    }
}
