using Pooler.Errors;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// SHUTDOWN: at once, without an answer; SHUTDOWN WAIT_FOR_SERVERS and WAIT_FOR_CLIENTS are answered and go on behind (src/admin.c,
/// admin_cmd_shutdown).
/// </summary>
internal sealed class ShutdownCommand : ConsoleCommand
{
    internal override bool IsInvalid(ConsoleStatement statement) => ModeOf(statement) == StopMode.None;

    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        StopMode mode = ModeOf(statement);
        string command = statement.Argument.Length == 0 ? "SHUTDOWN command issued" : $"SHUTDOWN {statement.Argument} command issued";
        session.Console.Log.Note(command);
        bool hasBegun = session.Console.Shutdown.Begin(mode);
        if (mode == StopMode.Immediate)
        {
            await ConsoleWait.Until(session, static () => false); // The end of the process is the answer.
        }
        else if (hasBegun || session.Console.Shutdown.IsUnderWay(mode))
        {
            session.Complete("SHUTDOWN");
        }
        else
        {
            session.Error(ConsoleErrors.AlreadyStopping.Fields());
        }
    }

    private static StopMode ModeOf(ConsoleStatement statement) => statement.Argument.ToUpperInvariant() switch
    {
        "" => StopMode.Immediate,
        "WAIT_FOR_SERVERS" => StopMode.WaitForServers,
        "WAIT_FOR_CLIENTS" => StopMode.WaitForClients,
        _ => StopMode.None,
    };
}
