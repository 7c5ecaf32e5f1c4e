using System.Text;

namespace Pooler.Backend;

/// <summary>
/// Statements of ours that set what strangers have asked for. Everything is plain ASCII, whatever the server's encodings are, and
/// quoted so that backslashes mean the same under every standard_conforming_strings.
/// </summary>
internal static class SettingText
{
    /// <summary>
    /// As the startup packet would set it: set_config takes a list such as search_path as one text, which SET would quote. SET costs
    /// less, <paramref name="isPlain"/>: it will do.
    /// </summary>
    public static void AppendSet(StringBuilder text, string name, string value, bool isPlain = false)
    {
        if (isPlain)
        {
            text.Append("SET ").Append(name).Append(" TO ");
            AppendQuoted(text, value);
            text.Append(';');
            return;
        }

        text.Append("SELECT pg_catalog.set_config(");
        AppendQuoted(text, name);
        text.Append(',');
        AppendQuoted(text, value);
        text.Append(",false);");
    }

    public static void AppendQuoted(StringBuilder text, string value)
    {
        text.Append("E'");
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            if (char.IsHighSurrogate(c) && i + 1 < value.Length && char.IsLowSurrogate(value[i + 1]))
            {
                text.Append($"\\U{char.ConvertToUtf32(c, value[++i]):X8}");
            }
            else if (c is < ' ' or > '~')
            {
                text.Append($"\\u{(int)c:X4}");
            }
            else
            {
                text.Append(c is '\'' or '\\' ? $"{c}{c}" : c);
            }
        }

        text.Append('\'');
    }
}
