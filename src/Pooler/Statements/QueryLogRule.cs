namespace Pooler.Statements;

/// <summary>Whose statements are logged, asked for on the console (LOG QUERIES): one client, a user or a database.</summary>
/// <param name="Client">Its id in SHOW CLIENTS.</param>
/// <param name="Until">Clock of the I/O threads, microseconds.</param>
internal sealed record QueryLogRule(long? Client, string? User, string? Database, long Until)
{
    public bool IsOf(long client, string user, string database, long now) => now < Until
        && (Client == null || Client == client) && (User == null || User == user) && (Database == null || Database == database);

    public override string ToString() => Client != null ? $"client {Client}" : User != null ? $"user {User}" : $"database {Database}";
}
