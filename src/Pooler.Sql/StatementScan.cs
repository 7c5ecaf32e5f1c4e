using System.Buffers;

namespace Pooler.Sql;

/// <summary>
/// Finds in a text the commands by which SQL itself names prepared statements: PREPARE, EXECUTE, DEALLOCATE, DISCARD. A false hit
/// costs little; a miss would let SQL meet a name that is another client's.
/// </summary>
public static class StatementScan
{
    private const byte NameLimit = 63;

    private static readonly SearchValues<byte> Starts = SearchValues.Create("pPeEdD"u8);

    /// <summary>Whether the text may use prepared statements by name.</summary>
    public static bool NamesStatements(ReadOnlySpan<byte> text)
    {
        int at = 0;
        while (at < text.Length)
        {
            int next = text[at..].IndexOfAny(Starts);
            if (next < 0)
            {
                return false;
            }

            at += next;
            int length = WordLength(text[at..]);
            if ((at == 0 || !SqlWords.IsWordByte(text[at - 1])) && IsCommand(text.Slice(at, length)))
            {
                return true;
            }

            at += length;
        }

        return false;
    }

    /// <summary>
    /// The name in a text that is one DEALLOCATE of one statement, folded and unquoted as PostgreSQL reads it; null when the text
    /// is anything else.
    /// </summary>
    public static byte[]? NameOfDeallocate(ReadOnlySpan<byte> text)
    {
        text = text.Trim(" \t\r\n\0"u8).TrimEnd("; \t\r\n"u8);
        if (!TakeWord(ref text, "deallocate"u8))
        {
            return null;
        }

        ReadOnlySpan<byte> rest = text;
        if (TakeWord(ref rest, "prepare"u8) && rest.Length > 0)
        {
            text = rest;
        }

        if (text.Length > 2 && text[0] == '"' && text[^1] == '"')
        {
            return Unquote(text[1..^1]);
        }

        if (text.IsEmpty || WordLength(text) != text.Length || text[0] is >= (byte)'0' and <= (byte)'9' || Is(text, "all"u8))
        {
            return null;
        }

        byte[] name = text[..Math.Min(text.Length, NameLimit)].ToArray();
        for (int i = 0; i < name.Length; i++)
        {
            name[i] = name[i] is >= (byte)'A' and <= (byte)'Z' ? (byte)(name[i] | 0x20) : name[i];
        }

        return name;
    }

    private static byte[]? Unquote(ReadOnlySpan<byte> quoted)
    {
        List<byte> name = new(quoted.Length);
        for (int i = 0; i < quoted.Length; i++)
        {
            if (quoted[i] == '"' && (++i == quoted.Length || quoted[i] != '"'))
            {
                return null; // The name ends here: more than one follows.
            }

            name.Add(quoted[i]);
        }

        return name.Count <= NameLimit ? [.. name] : null;
    }

    private static bool TakeWord(ref ReadOnlySpan<byte> text, ReadOnlySpan<byte> word)
    {
        if (text.Length < word.Length || WordLength(text) != word.Length || !Is(text[..word.Length], word))
        {
            return false;
        }

        text = text[word.Length..].TrimStart(" \t\r\n"u8);
        return true;
    }

    private static bool IsCommand(ReadOnlySpan<byte> word) => word.Length switch
    {
        7 => Is(word, "prepare"u8) || Is(word, "execute"u8) || Is(word, "discard"u8),
        10 => Is(word, "deallocate"u8),
        _ => false,
    };

    private static bool Is(ReadOnlySpan<byte> word, ReadOnlySpan<byte> lower) => System.Text.Ascii.EqualsIgnoreCase(word, lower);

    private static int WordLength(ReadOnlySpan<byte> text)
    {
        int length = 0;
        while (length < text.Length && SqlWords.IsWordByte(text[length]))
        {
            length++;
        }

        return Math.Max(length, Math.Min(text.Length, 1));
    }
}
