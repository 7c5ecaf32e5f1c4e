namespace Pooler.Admin;

/// <summary>DISABLE db and ENABLE db: whether new clients are refused; those that are here stay (src/admin.c).</summary>
internal sealed class Disable(string word, bool isDisabled) : DatabaseCommand(word, isDisabled ? "disable" : "enable")
{
    protected override string? Refusal(ConsoleSession session, string? database) => database == null ? "a database is required" : null;

    protected override ValueTask<bool> DoAsync(ConsoleSession session, string? database)
    {
        session.Console.Pools.Disable(database!, isDisabled);
        return ValueTask.FromResult(true);
    }
}
