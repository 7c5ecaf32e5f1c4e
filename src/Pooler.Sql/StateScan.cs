using System.Buffers;

namespace Pooler.Sql;

/// <summary>
/// Finds in a statement's text what may leave session state behind that no command tag shows: a case-insensitive scan for whole
/// words. A false hit costs one reset of the server; a miss would leak state, so the list errs on the side of hits.
/// </summary>
public static class StateScan
{
    // First letters of the words below, in both cases: plain reads and writes rarely get beyond this vectorised look.
    private static readonly SearchValues<byte> Starts = SearchValues.Create("sStTpPaAdDlL"u8);

    private static readonly SearchValues<byte> ResetStarts = SearchValues.Create("rRdD"u8);

    /// <summary>Whether the text may change session state that outlives its transaction.</summary>
    public static bool MayLeaveState(ReadOnlySpan<byte> text)
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
            ReadOnlySpan<byte> word = Word(text[at..]);
            if ((at == 0 || !SqlWords.IsWordByte(text[at - 1])) && IsStateWord(word) && !IsLocal(text, word, at))
            {
                return true;
            }

            at += word.Length;
        }

        return false;
    }

    /// <summary>Whether the text may be a SET … TO DEFAULT.</summary>
    public static bool SaysDefault(ReadOnlySpan<byte> text)
    {
        for (int next; (next = text.IndexOfAny((byte)'d', (byte)'D')) >= 0; text = text[(next + 1)..])
        {
            if (text.Length - next >= 7 && Is(text.Slice(next, 7), "default"u8))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether the text may bring settings back to their defaults: RESET, DISCARD, SET … TO DEFAULT.</summary>
    public static bool MayReset(ReadOnlySpan<byte> text)
    {
        for (int next; (next = text.IndexOfAny(ResetStarts)) >= 0; text = text[(next + 1)..])
        {
            ReadOnlySpan<byte> rest = text[next..];
            if (StartsWith(rest, "reset"u8) || StartsWith(rest, "discard"u8) || StartsWith(rest, "default"u8))
            {
                return true;
            }
        }

        return false;
    }

    private static bool StartsWith(ReadOnlySpan<byte> text, ReadOnlySpan<byte> lower) => text.Length >= lower.Length && Is(text[..lower.Length], lower);

    private static ReadOnlySpan<byte> Word(ReadOnlySpan<byte> text)
    {
        int length = 0;
        while (length < text.Length && SqlWords.IsWordByte(text[length]))
        {
            length++;
        }

        return text[..Math.Max(length, 1)];
    }

    private static bool IsStateWord(ReadOnlySpan<byte> word) => word.Length switch
    {
        4 => Is(word, "temp"u8),
        7 => Is(word, "setseed"u8) || Is(word, "pg_temp"u8),
        9 => Is(word, "temporary"u8),
        10 => Is(word, "set_config"u8),
        _ => HasAdvisoryLock(word) || Contains(word, "advisory_unlock"u8) || (word.Length > 6 && Is(word[..6], "dblink"u8)),
    };

    /// <summary>What backslashes mean in a string depends on a setting (standard_conforming_strings): then nobody knows where it ends.</summary>
    private static bool IsLocal(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word, int at) =>
        Is(word, "set_config"u8) && text.IndexOf((byte)'\\') < 0 && SetScan.IsLocalCall(text[(at + word.Length)..]);

    /// <summary>pg_advisory_lock, pg_try_advisory_lock_shared …; the xact forms end with their transaction.</summary>
    internal static bool HasAdvisoryLock(ReadOnlySpan<byte> word) => Contains(word, "advisory_lock"u8);

    private static bool Contains(ReadOnlySpan<byte> word, ReadOnlySpan<byte> name)
    {
        for (int i = 0; i + name.Length <= word.Length; i++)
        {
            if (Is(word.Slice(i, name.Length), name))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Is(ReadOnlySpan<byte> word, ReadOnlySpan<byte> lower) => System.Text.Ascii.EqualsIgnoreCase(word, lower);
}
