using System.Collections.Frozen;
using Pooler.Errors;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>A text the console understands: what it says, and the command that does it.</summary>
internal sealed record ConsoleRequest(string Text, ConsoleStatement Statement, ConsoleCommand Command)
{
    private static readonly Set SetCommand = new();

    private static readonly FrozenDictionary<string, ConsoleCommand> Commands = new Dictionary<string, ConsoleCommand>
    {
        ["disable"] = new Disable("DISABLE", isDisabled: true),
        ["enable"] = new Disable("ENABLE", isDisabled: false),
        ["kill"] = new Kill(),
        ["kill_client"] = new KillClient(),
        ["log"] = new LogQueries(),
        ["pause"] = new Pause(),
        ["reconnect"] = new Reconnect(),
        ["reload"] = new Reload(),
        ["reset"] = new ResetStatements(),
        ["resume"] = new Resume(),
        ["select"] = new Show(),
        ["show"] = new Show(),
        ["shutdown"] = new ShutdownCommand(),
        ["suspend"] = new Suspend(),
        ["switchover"] = new SwitchoverCommand(),
        ["wait_close"] = new WaitClose(),
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>Null, with PgBouncer's words for the client, when there is no such command.</summary>
    public static ConsoleRequest? Read(string text, out ErrorFields? problem)
    {
        problem = Invalid(text);
        if (ConsoleStatement.Parse(text) is not { } statement)
        {
            return null;
        }

        if (statement.IsTooLong)
        {
            problem = ConsoleErrors.BadArguments.Fields();
            return null;
        }

        ConsoleCommand? command = statement.IsSet ? SetCommand : Commands.GetValueOrDefault(statement.Word);
        return command != null ? new ConsoleRequest(text, statement, command) : null;
    }

    public static ErrorFields Invalid(string text) => ConsoleErrors.Invalid.Fields(text);
}
