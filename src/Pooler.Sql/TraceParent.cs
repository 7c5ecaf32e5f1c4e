using System.Globalization;

namespace Pooler.Sql;

/// <summary>
/// The caller's place in its trace, as sqlcommenter writes it into a comment: /*traceparent='00-&lt;trace&gt;-&lt;span&gt;-&lt;flags&gt;'*/ (W3C Trace
/// Context).
/// </summary>
public readonly record struct TraceParent(ulong TraceHigh, ulong TraceLow, ulong Span, bool IsSampled)
{
    private const int Length = 55;

    private static ReadOnlySpan<byte> Key => "traceparent='"u8;

    /// <summary>There is one; all zeros are none.</summary>
    public bool IsSet => (TraceHigh | TraceLow) != 0 && Span != 0;

    /// <summary>Finds it in the comments of a text; the first one counts. Without the word in it the text is not read any further.</summary>
    public static bool TryFind(ReadOnlySpan<byte> text, bool hasConformingStrings, TextEncoding encoding, out TraceParent parent)
    {
        parent = default;
        return TryFindComment(text, hasConformingStrings, encoding, out int start, out int end) && TryRead(text[start..end], out parent);
    }

    /// <summary>
    /// Writes what is shared among clients: the text without the comment that tells one trace from the next, a blank in its place.
    /// False when there is none. What follows the text's closing zero is copied too.
    /// </summary>
    public static bool TryLeaveOut(ReadOnlySpan<byte> body, bool hasConformingStrings, TextEncoding encoding, Span<byte> output, out int written)
    {
        written = 0;
        if (!TryFindComment(body, hasConformingStrings, encoding, out int start, out int end))
        {
            return false;
        }

        body[..start].CopyTo(output);
        output[start] = (byte)' ';
        body[end..].CopyTo(output[(start + 1)..]);
        written = body.Length - (end - start) + 1;
        return true;
    }

    /// <summary>Whether it may be worth a closer look.</summary>
    public static bool IsLikely(ReadOnlySpan<byte> text) => text.IndexOf(Key) >= 0;

    private static bool TryFindComment(ReadOnlySpan<byte> text, bool hasConformingStrings, TextEncoding encoding, out int start, out int end)
    {
        (start, end) = (0, 0);
        if (!IsLikely(text) || StatementText.IsHidden(text, encoding))
        {
            return false;
        }

        var lexer = new SqlLexer(text, hasConformingStrings);
        for (int from = 0; ; from = lexer.End)
        {
            bool isToken = lexer.Next();
            if (TryFindInGap(text, from, lexer.Start, out start, out end))
            {
                return true;
            }

            if (!isToken)
            {
                return false;
            }
        }
    }

    /// <summary>Between two tokens there are blanks and comments. One with others inside is left alone.</summary>
    private static bool TryFindInGap(ReadOnlySpan<byte> text, int from, int to, out int start, out int end)
    {
        (start, end) = (0, 0);
        ReadOnlySpan<byte> gap = text[from..Math.Max(from, to)];
        int key = gap.Length < Key.Length ? -1 : gap.IndexOf(Key);
        if (key < 0)
        {
            return false;
        }

        int open = gap[..key].LastIndexOf("/*"u8), close = gap[key..].IndexOf("*/"u8);
        if (open < 0 || close < 0 || gap.Slice(key, close).IndexOf("/*"u8) >= 0 || gap[open..key].IndexOf("*/"u8) >= 0)
        {
            return false;
        }

        (start, end) = (from + open, from + key + close + 2);
        return true;
    }

    /// <summary>Version 00, or a later one, of which the front is read the same; all but lower-case digits is wrong.</summary>
    private static bool TryRead(ReadOnlySpan<byte> comment, out TraceParent parent)
    {
        parent = default;
        ReadOnlySpan<byte> value = comment[(comment.IndexOf(Key) + Key.Length)..];
        value = value[..Math.Max(0, value.IndexOf((byte)'\''))];
        bool isShaped = value.Length >= Length && value[2] == '-' && value[35] == '-' && value[52] == '-'
            && (value.Length == Length || (value[Length] == '-' && !value.StartsWith("00"u8)));
        if (!isShaped
            || !TryHex(value[..2], out ulong version) || version == 0xFF
            || !TryHex(value[3..19], out ulong high) || !TryHex(value[19..35], out ulong low)
            || !TryHex(value[36..52], out ulong span) || !TryHex(value[53..55], out ulong flags))
        {
            return false;
        }

        parent = new TraceParent(high, low, span, (flags & 1) != 0);
        return parent.IsSet;
    }

    private static bool TryHex(ReadOnlySpan<byte> digits, out ulong value)
    {
        bool isLower = digits.IndexOfAnyInRange((byte)'A', (byte)'F') < 0;
        return ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && isLower;
    }
}
