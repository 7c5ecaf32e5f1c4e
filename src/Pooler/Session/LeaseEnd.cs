using Pooler.Backend;
using Pooler.Config;
using Pooler.Pooling;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>How a server leaves a session: clean and at once, or through housekeeping first.</summary>
internal static class LeaseEnd
{
    /// <summary>The server owes nothing and is idle; what the mode or its state asks for runs before the next client has it.</summary>
    public static void GiveBack(ServerSlot slot, PoolSettings settings)
    {
        string[] resets = ResetQueries(slot.Server, settings);
        if (resets.Length == 0)
        {
            slot.TakeBack();
        }
        else
        {
            Reset(slot, settings, resets);
        }
    }

    // A method of its own: its closure would be allocated on the clean path too.
    private static void Reset(ServerSlot slot, PoolSettings settings, string[] resets)
    {
        slot.Pools.SetUsed(slot, SlotState.Housekeeping);
        Housekeeping.CleanUp(slot.Server, new ReplyQueue(), resets, settings.ServerCleanupTimeout, slot, _ => TakeBackReset(slot, resets));
    }

    /// <summary>
    /// A client that leaves costs a clean-up, not the server; only half a message sent to it cannot be taken back.
    /// <paramref name="replies"/> is what the server still owes.
    /// </summary>
    public static void Abandon(ServerSlot slot, ReplyQueue replies, PoolSettings settings, bool isInFrame, bool finishFirst)
    {
        ServerConnection server = slot.Server;
        server.Owner = slot;
        if (server.IsClosed || server.Failure != null)
        {
            return; // Its loop tells the slot.
        }

        if (isInFrame)
        {
            server.Close("client disconnect in the middle of a message");
            return;
        }

        slot.Pools.SetUsed(slot, SlotState.Housekeeping);
        string[] resets = ResetQueries(server, settings);
        if (finishFirst)
        {
            Housekeeping.FinishThenCleanUp(server, replies, resets, settings.ServerCleanupTimeout, Patience(settings), slot, _ => TakeBackReset(slot, resets));
        }
        else
        {
            Housekeeping.CleanUp(server, replies, resets, settings.ServerCleanupTimeout, slot, _ => TakeBackReset(slot, resets));
        }
    }

    /// <summary>server_reset_query where PgBouncer runs it; DISCARD ALL whenever the server may hold state we do not carry.</summary>
    private static string[] ResetQueries(ServerConnection server, PoolSettings settings)
    {
        bool always = settings.ServerResetQueryAlways || settings.Mode == PoolMode.Session;
        string query = always ? settings.ServerResetQuery : "";

        // Of a query of the user's own nobody knows which startup parameters it leaves.
        bool isClean = !server.NeedsReset && (query.Length == 0 || server.Startup!.Count == 0);
        if (isClean || query.Equals(Housekeeping.DiscardAll, StringComparison.OrdinalIgnoreCase))
        {
            return query.Length == 0 ? [] : [query];
        }

        return query.Length == 0 ? [Housekeeping.DiscardAll] : [query, Housekeeping.DiscardAll];
    }

    /// <summary>How long a statement may run when nobody waits for it any more: as long as it might with its client there.</summary>
    private static TimeSpan Patience(PoolSettings settings) =>
        settings.QueryTimeout == TimeSpan.Zero ? settings.TransactionTimeout
        : settings.TransactionTimeout == TimeSpan.Zero || settings.QueryTimeout < settings.TransactionTimeout ? settings.QueryTimeout
        : settings.TransactionTimeout;

    private static void TakeBackReset(ServerSlot slot, string[] resets)
    {
        // What a reset brought back the server has reported: our record of it is right already, also when the defaults of
        // PostgreSQL have changed since its login.
        if (resets is [.., var last] && last.Equals(Housekeeping.DiscardAll, StringComparison.OrdinalIgnoreCase))
        {
            slot.Server.MarkClean();
        }

        slot.TakeBack();
    }
}
