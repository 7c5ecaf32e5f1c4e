namespace Pooler.Sql;

/// <summary>What a text is without its values: a fingerprint that they do not change, and the text to be shown with none of them in it.</summary>
public static class StatementText
{
    /// <summary>So much of a text is looked at: a long one is told from others by its front.</summary>
    public const int MaxLength = 8 * 1024;

    private const byte Mark = (byte)'?';
    private const ulong Unreadable = 1;

    /// <summary>What stands for a text that nobody here can read.</summary>
    private static ReadOnlySpan<byte> Hidden => "(not shown: its encoding hides where values begin)"u8;

    /// <summary>The number of <see cref="StatementSummary.Fingerprint"/>; 0 of an empty text, and all texts that cannot be read have one.</summary>
    public static ulong FingerprintOf(ReadOnlySpan<byte> text, bool hasConformingStrings, TextEncoding encoding)
    {
        text = Front(text);
        if (IsHidden(text, encoding))
        {
            return Unreadable;
        }

        var fingerprint = new Fingerprint();
        var lexer = new SqlLexer(text, hasConformingStrings);
        while (lexer.Next())
        {
            fingerprint.Add(lexer);
        }

        return fingerprint.Value;
    }

    /// <summary>
    /// Writes the text with ? for every string and number, and for whatever has no end; without comments, blanks as one each. Returns
    /// the bytes written; what does not fit is left out behind "…".
    /// </summary>
    public static int Mask(ReadOnlySpan<byte> text, bool hasConformingStrings, TextEncoding encoding, Span<byte> output)
    {
        bool isCut = text.Length > MaxLength;
        text = Front(text);
        if (IsHidden(text, encoding))
        {
            Hidden[..Math.Min(Hidden.Length, output.Length)].CopyTo(output);
            return Math.Min(Hidden.Length, output.Length);
        }

        ReadOnlySpan<byte> more = "…"u8;
        int limit = output.Length - more.Length, at = 0, end = 0;
        var lexer = new SqlLexer(text, hasConformingStrings);
        while (lexer.Next())
        {
            ReadOnlySpan<byte> token = lexer.Kind is SqlTokenKind.Literal or SqlTokenKind.Number or SqlTokenKind.Unfinished ? [Mark] : lexer.Slice(lexer.Start, lexer.End);
            int gap = at > 0 && lexer.Start > end ? 1 : 0;
            if (at + gap + token.Length > limit)
            {
                isCut = true;
                break;
            }

            if (gap > 0)
            {
                output[at++] = (byte)' ';
            }

            token.CopyTo(output[at..]);
            at += token.Length;
            end = lexer.End;
        }

        if (isCut)
        {
            more.CopyTo(output[at..]);
            at += more.Length;
        }

        return at;
    }

    /// <summary>The trail byte of a letter may be a backslash or a name's letter: where a string ends is not known then.</summary>
    internal static bool IsHidden(ReadOnlySpan<byte> text, TextEncoding encoding) =>
        encoding == TextEncoding.MixedBytes && !System.Text.Ascii.IsValid(text);

    private static ReadOnlySpan<byte> Front(ReadOnlySpan<byte> text) => text.Length > MaxLength ? text[..MaxLength] : text;
}
