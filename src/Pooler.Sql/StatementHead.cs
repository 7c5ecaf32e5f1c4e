namespace Pooler.Sql;

/// <summary>What the first word of a statement tells without reading the rest.</summary>
public static class StatementHead
{
    /// <summary>
    /// Whether a server that broke off before any reply cannot have kept anything of the statement, so that it may be sent
    /// once more: one that runs in a single transaction and commits nothing by itself. CALL, DO, VACUUM and CREATE INDEX
    /// CONCURRENTLY may commit on the way, writes commit at their end: those are never repeated.
    /// </summary>
    public static bool IsRepeatable(ReadOnlySpan<byte> text)
    {
        text = text.TrimStart(" \t\r\n"u8);

        // Of several statements in one text a later one may be anything.
        int end = text.IndexOf((byte)';');
        if (end >= 0 && text[(end + 1)..].TrimStart(" \t\r\n\0"u8).Length > 0)
        {
            return false;
        }

        return Starts(text, "select"u8) || Starts(text, "begin"u8) || Starts(text, "show"u8) || Starts(text, "values"u8) || Starts(text, "start"u8);
    }

    /// <summary>
    /// SELECT … INTO says nothing before it has run to its end, where others send the description of their rows first: that a server
    /// broke off before any reply does not tell that nothing has run. Looked for anywhere in what was sent.
    /// </summary>
    public static bool MaySayInto(ReadOnlySpan<byte> sent)
    {
        ReadOnlySpan<byte> word = "into"u8;
        for (int i = 0; i + word.Length <= sent.Length; i++)
        {
            if (System.Text.Ascii.EqualsIgnoreCase(sent.Slice(i, word.Length), word))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Starts(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) =>
        text.Length > word.Length
        && System.Text.Ascii.EqualsIgnoreCase(text[..word.Length], word)
        && !char.IsAsciiLetterOrDigit((char)text[word.Length]) && text[word.Length] != '_';
}
