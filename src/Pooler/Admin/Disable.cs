using Pooler.Errors;

namespace Pooler.Admin;

/// <summary>DISABLE db and ENABLE db: whether new clients are refused; those that are here stay (src/admin.c).</summary>
internal sealed class Disable(string word, bool isDisabled) : DatabaseCommand(word, isDisabled ? "disable" : "enable")
{
    protected override ClientError? Refusal(ConsoleSession session, string? database) => database == null ? ConsoleErrors.DatabaseRequired : null;

    protected override ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        session.Console.Pools.Disable(database!, isDisabled);
        return ValueTask.FromResult(true);
    }
}
