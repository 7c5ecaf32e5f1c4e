namespace Pooler.Sql;

/// <summary>
/// Tells settings that end with their transaction (SET LOCAL, set_config(…, true)) from those that may stay. A wrong "may stay" costs
/// a question or a reset; a wrong "local" would leak state, so nothing is local that is not plainly so.
/// </summary>
public static class SetScan
{
    /// <summary>Whether the command tag SET of this text may be that of a SET which outlives its transaction.</summary>
    public static bool MaySet(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)0);
        text = (end < 0 ? text : text[..end]).TrimStart(" \t\r\n"u8);
        int semicolon = text.IndexOf((byte)';');
        bool isOne = semicolon < 0 || text[(semicolon + 1)..].TrimStart(" \t\r\n"u8).IsEmpty;
        if (!isOne || text.IsEmpty)
        {
            return !isOne;
        }

        // SELECT, INSERT … have tags of their own; EXECUTE has that of what it runs.
        bool isOther = (text[0] | 0x20) is >= 'a' and <= 'z' && !Starts(text, "set"u8) && !Starts(text, "execute"u8);
        var words = new SqlWords(text);
        return !isOther && !(words.Next() && words.Is("set"u8) && words.Next() && words.Is("local"u8));
    }

    /// <summary>Whether a call of set_config has true for its third argument, literally. <paramref name="rest"/> begins behind its name.</summary>
    internal static bool IsLocalCall(ReadOnlySpan<byte> rest)
    {
        var words = new SqlWords(rest);
        if (!words.Next() || !words.IsSymbol('('))
        {
            return false;
        }

        int depth = 1, commas = 0, wordsOfArgument = 0;
        bool isTrue = false;
        while (words.Next())
        {
            if (words.IsSymbol('['))
            {
                return false;
            }

            depth += words.IsSymbol('(') ? 1 : words.IsSymbol(')') ? -1 : 0;
            if (depth == 0)
            {
                return commas == 2 && isTrue && wordsOfArgument == 1;
            }

            bool isComma = depth == 1 && words.IsSymbol(',');
            commas += isComma ? 1 : 0;
            wordsOfArgument = isComma ? 0 : wordsOfArgument + 1;
            isTrue = words.Is("true"u8);
        }

        return false;
    }

    private static bool Starts(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) =>
        text.Length >= word.Length && System.Text.Ascii.EqualsIgnoreCase(text[..word.Length], word);
}
