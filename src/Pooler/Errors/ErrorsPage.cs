using System.Text;

namespace Pooler.Errors;

/// <summary>Renders docs/errors.md from the table; a test holds that the committed page is this one.</summary>
internal static class ErrorsPage
{
    private const string Introduction = """
        # Errors

        This page is generated from `src/Pooler/Errors`: every error of Pooler's own. What PostgreSQL says passes as it is.

        The message is PgBouncer's where it has one, so that what looks for its words finds them. DETAIL says why, with the figures of the moment,
        and HINT which setting decides it, where that stands (a `[users]` entry beats a `[databases]` entry, and that one `[pgbouncer]`), and what to do next:

        ```
        FATAL:  query_wait_timeout
        DETAIL:  The pool app/web has 20 of 20 servers (pool_size), and none of them is free; 7 clients wait. That was 120.0 s. In the log: C-0x5f2c9a0100000011, 2026-01-01 12:00:00.123 UTC.
        HINT:  query_wait_timeout = 120 ([pgbouncer], the default). See what holds the servers (SHOW POOLS, SHOW SERVERS); …
        ```

        DETAIL ends with the name that the client has in the log, at that time: `grep C-0x5f2c9a0100000011` finds the line of the error (`pooler error: …`,
        with `log_pooler_errors`) and all others of this client. No other client has it, of another process or after a restart either. As long as it is
        connected it is the `ptr` of SHOW CLIENTS.

        Who has not proved yet who he is (*to strangers* below) is told neither figures nor hints: what the log says beside the error (`login refused: …`) is
        for the operator.

        """;

    public static string Render()
    {
        StringBuilder page = new(Introduction.ReplaceLineEndings("\n"));
        foreach (ErrorRows part in ErrorRows.All)
        {
            page.Append($"\n## {part.Title}\n\n| Message | SQLSTATE | What it means | What to do | Setting |\n|---|---|---|---|---|\n");
            foreach (ClientError row in part.Rows)
            {
                string severity = row.Severity == part.Rows[0].Severity ? "" : $" ({row.Severity})";
                string text = row.PageText.StartsWith('(') ? row.PageText : $"`{row.PageText}`";
                page.Append($"| {Cell(text)}{severity} | {row.SqlState} | {Cell(row.Meaning)}{(row.IsForStrangers ? " *To strangers.*" : "")} ")
                    .Append($"| {Cell(row.Advice)} | {(row.Setting is { } setting ? $"`{setting.Name}`" : "")} |\n");
            }
        }

        return page.ToString();
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);
}
