namespace Pooler.Sql;

/// <summary>What a piece of a statement is.</summary>
public enum SqlWordKind : byte
{
    Word,
    QuotedName,
    Literal,
    Symbol,
}

/// <summary>
/// A statement word by word, without blanks and comments (PostgreSQL documentation, 4.1 Lexical Structure). Strings are read as
/// under standard_conforming_strings = on.
/// </summary>
public ref struct SqlWords(ReadOnlySpan<byte> text)
{
    private readonly ReadOnlySpan<byte> _text = text;
    private int _end;

    /// <summary>Where the piece begins.</summary>
    public int Start { get; private set; }

    /// <summary>Where it ends.</summary>
    public readonly int End => _end;

    public SqlWordKind Kind { get; private set; }

    /// <summary>The piece; of what is quoted, that between the quotes.</summary>
    public ReadOnlySpan<byte> Text { get; private set; }

    public readonly bool Is(ReadOnlySpan<byte> lower) => Kind == SqlWordKind.Word && System.Text.Ascii.EqualsIgnoreCase(Text, lower);

    public readonly bool IsSymbol(char symbol) => Kind == SqlWordKind.Symbol && Text[0] == symbol;

    /// <summary>Goes on to the next piece; false at the end, or where a comment or a string never ends.</summary>
    public bool Next()
    {
        int at = SkipBlanks(_end);
        if (at >= _text.Length || _text[at] == 0)
        {
            return false;
        }

        Start = at;
        byte first = _text[at];
        int next = at + 1 < _text.Length ? _text[at + 1] : 0;
        if (first is (byte)'\'' or (byte)'"')
        {
            return Quoted(at, first, hasEscapes: false);
        }

        if (first is (byte)'e' or (byte)'E' && next == '\'')
        {
            return Quoted(at + 1, (byte)'\'', hasEscapes: true);
        }

        if (first == '$' && DollarTag(at) is { Length: > 0 } tag)
        {
            int length = _text[(at + tag.Length)..].IndexOf(tag);
            return length >= 0 && Take(SqlWordKind.Literal, _text.Slice(at + tag.Length, length), at + length + (2 * tag.Length));
        }

        int end = at;
        while (end < _text.Length && IsWordByte(_text[end]))
        {
            end++;
        }

        return end > at
            ? Take(SqlWordKind.Word, _text[at..end], end)
            : Take(SqlWordKind.Symbol, _text.Slice(at, 1), at + 1);
    }

    private bool Take(SqlWordKind kind, ReadOnlySpan<byte> text, int end)
    {
        Kind = kind;
        Text = text;
        _end = end;
        return true;
    }

    private bool Quoted(int at, byte quote, bool hasEscapes)
    {
        for (int i = at + 1; i < _text.Length; i++)
        {
            if (hasEscapes && _text[i] == '\\')
            {
                i++;
            }
            else if (_text[i] == quote)
            {
                if (i + 1 == _text.Length || _text[i + 1] != quote)
                {
                    return Take(quote == '"' ? SqlWordKind.QuotedName : SqlWordKind.Literal, _text[(at + 1)..i], i + 1);
                }

                i++;
            }
        }

        return false;
    }

    /// <summary>$tag$, which begins a string; empty when it is none ($1).</summary>
    private readonly ReadOnlySpan<byte> DollarTag(int at)
    {
        int end = at + 1;
        while (end < _text.Length && _text[end] != '$' && IsWordByte(_text[end]))
        {
            end++;
        }

        bool isTag = end < _text.Length && _text[end] == '$' && !char.IsAsciiDigit((char)_text[at + 1]);
        return isTag ? _text[at..(end + 1)] : default;
    }

    private readonly int SkipBlanks(int at)
    {
        while (at < _text.Length)
        {
            ReadOnlySpan<byte> rest = _text[at..];
            if (rest[0] is (byte)' ' or (>= (byte)'\t' and <= (byte)'\r'))
            {
                at++;
            }
            else if (rest.StartsWith("--"u8))
            {
                int end = rest.IndexOfAny((byte)'\n', (byte)'\r');
                at = end < 0 ? _text.Length : at + end;
            }
            else if (rest.StartsWith("/*"u8))
            {
                at = SkipComment(at);
            }
            else
            {
                break;
            }
        }

        return at;
    }

    /// <summary>Comments nest.</summary>
    private readonly int SkipComment(int at)
    {
        int depth = 0;
        do
        {
            int step = _text[at..].IndexOfAny((byte)'/', (byte)'*');
            if (step < 0 || at + step + 1 >= _text.Length)
            {
                return _text.Length;
            }

            at += step;
            int change = _text[at..].StartsWith("/*"u8) ? 1 : _text[at..].StartsWith("*/"u8) ? -1 : 0;
            depth += change;
            at += change == 0 ? 1 : 2;
        }
        while (depth > 0);

        return at;
    }

    /// <summary>Of names and key words; letters of other alphabets are all above ASCII.</summary>
    internal static bool IsWordByte(byte b) => b is (byte)'_' or (byte)'$' or >= 0x80 || char.IsAsciiLetterOrDigit((char)b);
}
