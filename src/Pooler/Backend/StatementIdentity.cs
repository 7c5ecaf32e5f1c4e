namespace Pooler.Backend;

/// <summary>
/// Among whom a statement is shared: one database, one identity (user, role, session authorization, search path), and the settings
/// under which PostgreSQL reads a text (encoding, dates, backslashes): the same bytes mean something else under others.
/// </summary>
internal sealed record StatementIdentity(
    string Database, string User, string? Role, string? SessionAuthorization, string? SearchPath, string Settings);
