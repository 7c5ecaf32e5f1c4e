namespace Pooler.Admin;

/// <summary>One command of the console. It writes its own answer up to CommandComplete, or an error.</summary>
internal abstract class ConsoleCommand
{
    /// <summary>Whether stats_users get "admin access needed".</summary>
    internal virtual bool IsAdminOnly => true;

    internal abstract ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement);
}
