using System.Text;
using Pooler.Backend;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Asks a server what of its session cannot be shared; the answer is the sum of the <see cref="PinReason"/>s, and behind it the
/// startup parameters as they are now.
/// </summary>
internal static class PinQuestion
{
    private const string State = """
        SELECT (CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN 1 ELSE 0 END)
        +(CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype='advisory' AND pid=pg_catalog.pg_backend_pid()) THEN 2 ELSE 0 END)
        +(CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid='pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid=pg_catalog.pg_my_temp_schema()) THEN 4 ELSE 0 END)
        +(CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) THEN 8 ELSE 0 END)
        +(CASE WHEN 
        """;

    public static string Text(ClientSession session, ServerConnection server, List<string>? customNames)
    {
        StartupParameters startup = session.Unreported;
        var text = new StringBuilder(State.ReplaceLineEndings(" "));

        // What is carried is no pin: what the server reports, and startup parameters: those that are told, as they are now, all
        // others as long as they are as they were set.
        text.Append("EXISTS (SELECT FROM pg_catalog.pg_settings WHERE source='session' AND pg_catalog.lower(name) NOT IN ('seed','transaction_isolation','transaction_read_only','transaction_deferrable'");
        foreach (string name in server.LoginParameters.NamesKnown.Concat(startup.Names))
        {
            text.Append(',');
            SettingText.AppendQuoted(text, name.ToLowerInvariant());
        }

        text.Append("))");
        foreach ((string name, string value) in startup.All.ExceptBy(startup.Told, static v => v.Name))
        {
            text.Append(" OR pg_catalog.current_setting(");
            SettingText.AppendQuoted(text, name);
            text.Append(",true) IS DISTINCT FROM pg_catalog.set_config(");
            SettingText.AppendQuoted(text, name);
            text.Append(',');
            SettingText.AppendQuoted(text, value);
            text.Append(",true)");
        }

        // pg_settings does not list these.
        if (startup["role"] == null)
        {
            text.Append(" OR pg_catalog.current_setting('role')<>'none'");
        }

        if (startup["session_authorization"] == null)
        {
            text.Append(" OR pg_catalog.current_setting('session_authorization')<>");
            SettingText.AppendQuoted(text, session.Pool.Key.User);
        }

        foreach (string name in (customNames ?? []).Except(startup.Names, StringComparer.OrdinalIgnoreCase))
        {
            text.Append(" OR coalesce(pg_catalog.current_setting(");
            SettingText.AppendQuoted(text, name);
            text.Append(",true),'')<>''");
        }

        text.Append(" THEN 16 ELSE 0 END)");
        startup.AppendQuestions(text);
        return text.ToString();
    }
}
