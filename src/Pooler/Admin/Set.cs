using System.Collections.Frozen;
using Pooler.Errors;
using Pooler.Net;

namespace Pooler.Admin;

/// <summary>
/// SET key = value: a setting of the process until the next RELOAD or restart. What drivers set at login is ignored with a notice,
/// for stats_users too (extra_float_digits is among it since PgBouncer's later versions); a setting that only a restart changes is taken and does nothing (src/admin.c, admin_set and fake_set).
/// </summary>
internal sealed class Set : ConsoleCommand
{
    private static readonly FrozenSet<string> Ignored =
        FrozenSet.Create(StringComparer.OrdinalIgnoreCase,
            "client_encoding", "datestyle", "default_transaction_isolation", "extra_float_digits", "standard_conforming_strings", "timezone");

    internal override bool IsAdminOnly => false;

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        if (Ignored.Contains(statement.Argument))
        {
            session.Notice(ConsoleErrors.Ignored.Message);
            session.Complete("SET");
        }
        else if (!session.IsAdmin)
        {
            session.Error(ConsoleErrors.AdminNeeded.Fields());
        }
        else if (await Offload.Run(
            session.Client, static s => s.Control.Set(s.Argument, s.Value!), (session.Console.Control, statement.Argument, statement.Value)))
        {
            session.Complete($"SET {statement.Argument}={statement.Value}");
        }
        else
        {
            session.Error(ConsoleErrors.SetFailed.Fields());
        }
    }
}
