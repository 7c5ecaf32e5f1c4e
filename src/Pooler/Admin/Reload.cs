using Pooler.Errors;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>RELOAD: reads the configuration again; with an error in it the old one stays wholly (PgBouncer keeps half of the new).</summary>
internal sealed class Reload : ConsoleCommand
{
    internal override bool IsInvalid(ConsoleStatement statement) => statement.Argument.Length > 0;

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        session.Console.Log.Note("RELOAD command issued");
        if (await Offload.Run(session.Client, static control => control.Reload(), session.Console.Control))
        {
            session.Complete("RELOAD");
        }
        else
        {
            session.Error(ConsoleErrors.ReloadFailed.Fields());
        }
    }
}
