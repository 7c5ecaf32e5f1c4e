using System.Text;

namespace Pooler.Config;

/// <summary>Renders docs/settings.md from the table; a test holds that the committed page is this one.</summary>
internal static class SettingsPage
{
    private const string Introduction = """
        # Settings

        This page is generated from `src/Pooler/Config/Settings.cs`.

        Names, defaults and meanings are PgBouncer's; a setting of our own says "Ours". Times are seconds, decimals allowed; whole
        numbers may be written in octal (`0777`) or hexadecimal (`0x1F`).

        - **Takes effect**: *at once* at RELOAD or SET, or *at restart*.
        - **State**: *works*; *none* = accepted, with one warning at the start, and without effect.

        In the environment a setting is `POOLER_` and its name in capitals; `POOLER_DATABASES__name`, `POOLER_USERS__name` and
        `POOLER_PEERS__number` hold whole entries; `_FILE` at the end of a variable reads the value from that file. The environment beats the file.

        """;

    public static string Render()
    {
        StringBuilder page = new(Introduction.ReplaceLineEndings("\n"));
        Table(page, SettingScope.Global, "Section [pgbouncer]", "The section may also be called `[pooler]`.");
        Table(page, SettingScope.Database, "Section [databases]",
            "`name = key=value key=value …`; values with blanks in single quotes, `''` inside. The entry `*` is for all other names.");
        Table(page, SettingScope.User, "Section [users]",
            "`name = key=value key=value …`. A user's value beats the database's, and that one the value in `[pgbouncer]`.");
        Table(page, SettingScope.Peer, "Section [peers]",
            "`number = key=value key=value …`, the number being the `peer_id` of another process ([rolling restarts](running.md#peers)).");
        return page.ToString();
    }

    private static void Table(StringBuilder page, SettingScope scope, string title, string sentence)
    {
        page.Append($"\n## {title}\n\n{sentence}\n\n")
            .Append("| Setting | Type | Default | Takes effect | State | Meaning |\n|---|---|---|---|---|---|\n");
        foreach (Setting setting in Settings.All.Where(setting => setting.Scope.HasFlag(scope)))
        {
            string alias = setting.Alias is null ? "" : $" (or `{setting.Alias}`)";
            page.Append($"| `{setting.Name}`{alias} | {setting.TypeText} | {DefaultCell(setting, scope)} | {EffectCell(setting)} ")
                .Append($"| {StateCell(setting)} | {setting.Meaning.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        }
    }

    private static string DefaultCell(Setting setting, SettingScope scope)
    {
        if (scope != SettingScope.Global && setting.Scope.HasFlag(SettingScope.Global)) return "inherited";
        return string.IsNullOrEmpty(setting.DefaultText) ? "not set" : $"`{setting.DefaultText}`";
    }

    private static string EffectCell(Setting setting) => setting.WhenChanged == WhenChanged.AtOnce ? "at once" : "at restart";

    private static string StateCell(Setting setting) => setting.Support == Support.Works ? "works" : "none";
}
