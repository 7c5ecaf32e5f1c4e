using System.Collections.Immutable;
using System.Text;

namespace Pooler.Admin;

/// <summary>
/// One console command, taken apart as PgBouncer's three expressions do (src/admin.c, cmd_normal_rx and cmd_set_…_rx): a word and
/// perhaps an argument, each bare or in double quotes, or SET key = value; and ours, SWITCHOVER database TO host.
/// </summary>
/// <param name="Value">Of SET, whose key is <paramref name="Argument"/>; the host of SWITCHOVER; else null.</param>
internal sealed record ConsoleStatement(string Word, string Argument, string? Value)
{
    // Bytes that fit PgBouncer's buffers, without their closing zero.
    private const int LongestWord = 15, LongestArgument = 63, LongestValue = 255;

    public bool IsSet => Value != null && Word.Equals("set", StringComparison.OrdinalIgnoreCase);

    /// <summary>Of SHOW ROUTE: the statement that is asked about.</summary>
    public string? Text { get; private init; }

    /// <summary>Of SHOW ROUTE: the database entry, if it is named.</summary>
    public string? Database { get; private init; }

    /// <summary>Of LOG QUERIES CLIENT|USER|DATABASE what FOR seconds: the words behind QUERIES.</summary>
    public ImmutableArray<string> Words { get; private init; } = [];

    /// <summary>PgBouncer answers "bad arguments" to what is longer.</summary>
    public bool IsTooLong => IsLonger(Word, LongestWord) || IsLonger(Argument, LongestArgument) || IsLonger(Value ?? "", LongestValue);

    /// <summary>Null for what no expression matches.</summary>
    public static ConsoleStatement? Parse(string text)
    {
        ReadOnlySpan<char> rest = text;
        SkipBlanks(ref rest);
        if (!TakeWord(ref rest, out string word))
        {
            return null;
        }

        string argument = "";
        if (SkipBlanks(ref rest) && TakeWord(ref rest, out string second))
        {
            argument = second;
            SkipBlanks(ref rest);
        }

        if (IsEnd(rest))
        {
            return new ConsoleStatement(word, argument, null);
        }

        if (word.Equals("switchover", StringComparison.OrdinalIgnoreCase) && argument.Length > 0)
        {
            return TakeHost(ref rest, out string host) && IsEnd(rest) ? new ConsoleStatement(word, argument, host) : null;
        }

        if (word.Equals("log", StringComparison.OrdinalIgnoreCase))
        {
            return TakeWords(ref rest) is { } words ? new ConsoleStatement(word, argument, null) { Words = words } : null;
        }

        if (word.Equals("show", StringComparison.OrdinalIgnoreCase) && argument.Equals(ShowRoute.Word, StringComparison.OrdinalIgnoreCase))
        {
            bool isNamed = TakeWord(ref rest, out string database);
            SkipBlanks(ref rest);
            return rest is ['\'', ..] && TakeValue(ref rest, out string asked) && IsEnd(rest)
                ? new ConsoleStatement(word, argument, null) { Text = asked, Database = isNamed ? database : null } : null;
        }

        bool isSet = word.Equals("set", StringComparison.OrdinalIgnoreCase) && argument.Length > 0 && TakeEquals(ref rest);
        return isSet && TakeValue(ref rest, out string value) && IsEnd(rest) ? new ConsoleStatement(word, argument, value) : null;
    }

    private static ImmutableArray<string>? TakeWords(ref ReadOnlySpan<char> rest)
    {
        ImmutableArray<string>.Builder words = ImmutableArray.CreateBuilder<string>();
        while (!IsEnd(rest))
        {
            if (!TakeValue(ref rest, out string word))
            {
                return null;
            }

            words.Add(word);
            SkipBlanks(ref rest);
        }

        return words.ToImmutable();
    }

    private static bool IsLonger(string text, int most) => Encoding.UTF8.GetByteCount(text) > most;

    private static bool SkipBlanks(ref ReadOnlySpan<char> rest)
    {
        ReadOnlySpan<char> trimmed = rest.TrimStart(" \t\n\r");
        bool any = trimmed.Length < rest.Length;
        rest = trimmed;
        return any;
    }

    /// <summary>[0-9a-z_]+ in any case, or anything between double quotes.</summary>
    private static bool TakeWord(ref ReadOnlySpan<char> rest, out string word)
    {
        if (rest is ['"', ..])
        {
            return TakeQuoted(ref rest, '"', out word);
        }

        int length = 0;
        while (length < rest.Length && (char.IsAsciiLetterOrDigit(rest[length]) || rest[length] == '_'))
        {
            length++;
        }

        word = rest[..length].ToString();
        rest = rest[length..];
        return length > 0;
    }

    /// <summary>Anything between quotes, with two of them for one.</summary>
    private static bool TakeQuoted(ref ReadOnlySpan<char> rest, char quote, out string text)
    {
        var taken = new StringBuilder();
        for (int i = 1; i < rest.Length; i++)
        {
            if (rest[i] == quote)
            {
                if (i + 1 == rest.Length || rest[i + 1] != quote)
                {
                    text = taken.ToString();
                    rest = rest[(i + 1)..];
                    return true;
                }

                i++;
            }

            taken.Append(rest[i]);
        }

        text = "";
        return false;
    }

    /// <summary>TO and a host: bare up to a blank, or in quotes.</summary>
    private static bool TakeHost(ref ReadOnlySpan<char> rest, out string host)
    {
        host = "";
        if (!TakeWord(ref rest, out string to) || !to.Equals("to", StringComparison.OrdinalIgnoreCase) || !SkipBlanks(ref rest) || rest.IsEmpty)
        {
            return false;
        }

        if (rest[0] is '\'' or '"')
        {
            return rest[0] == '"' ? TakeWord(ref rest, out host) : TakeValue(ref rest, out host);
        }

        int length = rest.IndexOfAny(" \t\n\r;");
        host = (length < 0 ? rest : rest[..length]).ToString();
        rest = rest[host.Length..];
        return host.Length > 0;
    }

    private static bool TakeEquals(ref ReadOnlySpan<char> rest)
    {
        int length = rest is ['=', ..] ? 1 : rest.StartsWith("to", StringComparison.OrdinalIgnoreCase) ? 2 : 0;
        rest = rest[length..];
        SkipBlanks(ref rest);
        return length > 0;
    }

    /// <summary>A word, or a text in single quotes with '' for one of them.</summary>
    private static bool TakeValue(ref ReadOnlySpan<char> rest, out string value) =>
        rest is ['\'', ..] ? TakeQuoted(ref rest, '\'', out value) : TakeWord(ref rest, out value);

    private static bool IsEnd(ReadOnlySpan<char> rest)
    {
        SkipBlanks(ref rest);
        if (rest is [';', ..])
        {
            rest = rest[1..];
            SkipBlanks(ref rest);
        }

        return rest.IsEmpty;
    }
}
