namespace Pooler.Backend;

/// <summary>
/// Among whom a statement is shared: one database, one identity (user, role, session authorization, search path), and the settings
/// under which PostgreSQL reads a text (encoding, dates, backslashes): the same bytes mean something else under others.
/// </summary>
internal sealed record StatementIdentity(
    string Database, string User, string? Role, string? SessionAuthorization, string? SearchPath, string Settings)
{
    /// <param name="unreported">Startup parameters that the server does not report.</param>
    public static StatementIdentity Of(string database, string user, SessionParameters parameters, StartupParameters unreported)
    {
        int path = SessionParameters.IndexOf("search_path"u8);
        return new StatementIdentity(
            database,
            user,
            unreported["role"],
            unreported["session_authorization"],
            (path < 0 ? null : parameters[path]) ?? unreported["search_path"],
            unreported.Count == 0 ? parameters.StatementSettings : parameters.StatementSettings + "\n" + unreported.Text);
    }
}
