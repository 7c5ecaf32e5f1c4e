namespace Pooler.Sql;

/// <summary>
/// A text token by token as PostgreSQL's own scanner reads it (scan.l), without blanks and comments. Bytes above ASCII are
/// letters, in any encoding whose further bytes are not ASCII.
/// </summary>
/// <param name="hasConformingStrings">standard_conforming_strings: whether a backslash in '…' means itself.</param>
public ref struct SqlLexer(ReadOnlySpan<byte> text, bool hasConformingStrings)
{
    private const ulong ValueHash = 1;

    // As in C, a text ends at its first zero byte.
    private readonly ReadOnlySpan<byte> _text = text.IndexOf((byte)0) is >= 0 and var zero ? text[..zero] : text;
    private readonly bool _hasConformingStrings = hasConformingStrings;
    private int _end, _textStart, _textEnd;
    private bool _isOpen;

    /// <summary>Where the token begins.</summary>
    public int Start { get; private set; }

    /// <summary>Where it ends.</summary>
    public readonly int End => _end;

    public SqlTokenKind Kind { get; private set; }

    /// <summary>The token; of what is quoted, that between the quotes.</summary>
    public readonly ReadOnlySpan<byte> Text => _text[_textStart.._textEnd];

    /// <summary>Whether the text of a string is its value: no escape, no doubled quote, one part.</summary>
    public bool IsPlain { get; private set; }

    /// <summary>Hash of a name (in lower case unless quoted) or an operator; of values and symbols what tells them from others.</summary>
    public ulong Hash { get; private set; }

    /// <summary>The byte of a symbol of one byte; else 0.</summary>
    public byte Sign { get; private set; }

    /// <summary>The strongest hint of the comments so far.</summary>
    public RouteHint Hint { get; private set; }

    /// <summary>A part of the text.</summary>
    internal readonly ReadOnlySpan<byte> Slice(int start, int end) => _text[start..end];

    /// <summary>Goes on to the next token; false at the end.</summary>
    public bool Next()
    {
        // Mostly one blank, or none, and then a letter.
        int at = _end < _text.Length && _text[_end] == ' ' ? _end + 1 : _end;
        if (at >= _text.Length || _text[at] <= '/')
        {
            at = SkipBlanks(at);
        }

        Start = at;
        if (at >= _text.Length)
        {
            _end = at;
            bool wasOpen = _isOpen;
            _isOpen = false;
            return wasOpen && Unfinished();
        }

        byte first = _text[at];
        return first switch
        {
            >= 0x80 or (byte)'_' => Name(at),
            >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' => Peek(at + 1) is (byte)'\'' or (byte)'&' ? Prefixed(at, first) : Name(at),
            (byte)',' or (byte)'(' or (byte)')' or (byte)';' or (byte)'[' or (byte)']' => Symbol(at, 1),
            _ => NextOther(at, first, Peek(at + 1)),
        };
    }

    private bool NextOther(int at, byte first, byte next) => first switch
    {
        (byte)'.' => IsDigit(next) ? Number(at) : Symbol(at, next == '.' ? 2 : 1),
        (byte)':' => Symbol(at, next is (byte)':' or (byte)'=' ? 2 : 1),
        >= (byte)'0' and <= (byte)'9' => Number(at),
        (byte)'\'' => String(at, 0, !_hasConformingStrings),
        (byte)'"' => QuotedName(at, SqlTokenKind.QuotedName),
        (byte)'$' => IsDigit(next) ? Take(SqlTokenKind.Parameter, at, SkipDigits(at + 1)) : DollarString(at),
        _ => IsOperatorByte(first) ? Operator(at) : Symbol(at, 1),
    };

    private bool Take(SqlTokenKind kind, int start, int end)
    {
        Kind = kind;
        Sign = 0;
        Hash = ValueHash;
        _textStart = start;
        _textEnd = end;
        _end = end;
        return true;
    }

    /// <summary>The rest of the text is one token; nothing follows it.</summary>
    private bool Unfinished() => Take(SqlTokenKind.Unfinished, Start, _text.Length);

    private bool Symbol(int at, int length)
    {
        Take(SqlTokenKind.Symbol, at, at + length);
        Sign = length == 1 ? _text[at] : (byte)0;
        Hash = ((ulong)_text[at] << 8) + (ulong)length;
        return true;
    }

    private bool Name(int at)
    {
        ulong hash = NameHash.OfName(_text, at, out int end);
        Take(SqlTokenKind.Name, at, end);
        Hash = hash;
        return true;
    }

    /// <summary>E'…', B'…', X'…', N'…', U&amp;'…' and U&amp;"…"; else a name.</summary>
    private bool Prefixed(int at, byte first)
    {
        byte letter = NameHash.Fold(first);
        if (Peek(at + 1) == '\'')
        {
            return letter switch
            {
                (byte)'e' => String(at, 1, hasEscapes: true),
                (byte)'b' or (byte)'x' => BitString(at),
                (byte)'n' => String(at, 1, !_hasConformingStrings),
                _ => Name(at),
            };
        }

        // Where a backslash escapes a quote PostgreSQL refuses U&'…'.
        byte quote = letter == 'u' ? Peek(at + 2) : (byte)0;
        return quote == '"' ? QuotedName(at + 2, SqlTokenKind.EncodedName)
            : quote != '\'' ? Name(at)
            : _hasConformingStrings ? String(at, 2, hasEscapes: false)
            : Unfinished();
    }

    /// <summary>A string with all the parts that follow it on lines of their own.</summary>
    private bool String(int at, int prefix, bool hasEscapes)
    {
        int start = at + prefix + 1;
        IsPlain = prefix == 0;
        for (int i = start; ;)
        {
            int step = hasEscapes ? _text[i..].IndexOfAny((byte)'\'', (byte)'\\') : _text[i..].IndexOf((byte)'\'');
            if (step < 0)
            {
                return Unfinished();
            }

            i += step;
            if (_text[i] == '\\')
            {
                IsPlain = false;
                i = Math.Min(i + 2, _text.Length);
            }
            else if (Peek(i + 1) == '\'')
            {
                IsPlain = false;
                i += 2;
            }
            else if (NextPart(i + 1) is >= 0 and var part)
            {
                IsPlain = false;
                i = part + 1;
            }
            else
            {
                Take(SqlTokenKind.Literal, start, i);
                _end = i + 1;
                return true;
            }
        }
    }

    /// <summary>B'…' and X'…': two quotes in a row end one and begin another string.</summary>
    private bool BitString(int at)
    {
        IsPlain = false;
        for (int i = at + 2; ;)
        {
            int step = _text[i..].IndexOf((byte)'\'');
            if (step < 0)
            {
                return Unfinished();
            }

            i += step + 1;
            int part = NextPart(i);
            if (part < 0)
            {
                return Take(SqlTokenKind.Literal, at, i);
            }

            i = part + 1;
        }
    }

    /// <summary>Where the quote is with which a string goes on behind blanks with a line's end among them, and comments of one line; else -1.</summary>
    private readonly int NextPart(int at)
    {
        bool hasLineEnd = false;
        for (; at < _text.Length; at++)
        {
            byte b = _text[at];
            if (b == '-' && Peek(at + 1) == '-')
            {
                int end = _text[at..].IndexOfAny((byte)'\n', (byte)'\r');
                if (end < 0)
                {
                    return -1;
                }

                at += end;
                hasLineEnd = true;
            }
            else if (IsBlank(b))
            {
                hasLineEnd |= b is (byte)'\n' or (byte)'\r';
            }
            else
            {
                return b == '\'' && hasLineEnd ? at : -1;
            }
        }

        return -1;
    }

    private bool QuotedName(int quote, SqlTokenKind kind)
    {
        for (int i = quote + 1; ; i += 2)
        {
            int step = _text[i..].IndexOf((byte)'"');
            if (step < 0)
            {
                return Unfinished();
            }

            i += step;
            if (Peek(i + 1) != '"')
            {
                Take(kind, quote + 1, i);
                Hash = NameHash.Of(Text, isFolded: false);
                _end = i + 1;
                return true;
            }
        }
    }

    /// <summary>$tag$…$tag$; a $ that begins none is an error of PostgreSQL's parser.</summary>
    private bool DollarString(int at)
    {
        int end = at + 1;
        while (end < _text.Length && _text[end] != '$' && SqlWords.IsWordByte(_text[end]))
        {
            end++;
        }

        if (Peek(end) != '$')
        {
            return Symbol(at, 1);
        }

        ReadOnlySpan<byte> tag = _text[at..(end + 1)];
        int length = _text[(end + 1)..].IndexOf(tag);
        if (length < 0)
        {
            return Unfinished();
        }

        IsPlain = true;
        Take(SqlTokenKind.Literal, end + 1, end + 1 + length);
        _end += tag.Length;
        return true;
    }

    /// <summary>Whole and broken numbers, exponents, since version 16 0x…, 0o…, 0b… and 1_000. "1..2" is three tokens.</summary>
    private bool Number(int at)
    {
        int end = SkipDigits(at);
        if (end == at + 1 && _text[at] == '0' && NameHash.Fold(Peek(end)) is (byte)'x' or (byte)'o' or (byte)'b' && char.IsAsciiHexDigit((char)Peek(end + 1)))
        {
            while (char.IsAsciiHexDigit((char)Peek(end + 1)) || Peek(end + 1) == '_')
            {
                end++;
            }

            return Take(SqlTokenKind.Number, at, end + 1);
        }

        if (Peek(end) == '.' && Peek(end + 1) != '.')
        {
            end = SkipDigits(end + 1);
        }

        if (NameHash.Fold(Peek(end)) == 'e')
        {
            int exponent = Peek(end + 1) is (byte)'+' or (byte)'-' ? end + 2 : end + 1;
            end = IsDigit(Peek(exponent)) ? SkipDigits(exponent) : end;
        }

        return Take(SqlTokenKind.Number, at, end);
    }

    private readonly int SkipDigits(int at)
    {
        while (IsDigit(Peek(at)) || (Peek(at) == '_' && IsDigit(Peek(at + 1))))
        {
            at++;
        }

        return at;
    }

    /// <summary>
    /// The longest run of operator characters before a comment; + and - end one of several only if it has a character that
    /// standard SQL's operators have not.
    /// </summary>
    private bool Operator(int at)
    {
        int end = at;
        bool isOwn = false;
        while (IsOperatorByte(Peek(end)) && !BeginsComment(end))
        {
            isOwn |= Peek(end) is (byte)'~' or (byte)'!' or (byte)'@' or (byte)'#' or (byte)'^' or (byte)'&' or (byte)'|' or (byte)'`' or (byte)'?' or (byte)'%';
            end++;
        }

        while (end > at + 1 && !isOwn && _text[end - 1] is (byte)'+' or (byte)'-')
        {
            end--;
        }

        Take(SqlTokenKind.Operator, at, end);
        Hash = NameHash.Of(Text, isFolded: false);
        return true;
    }

    private int SkipBlanks(int at)
    {
        for (; at < _text.Length; at++)
        {
            byte b = _text[at];
            if (IsBlank(b))
            {
                continue;
            }

            if (b is not ((byte)'-' or (byte)'/') || !BeginsComment(at))
            {
                break;
            }

            int end = b == '/' ? CommentEnd(at) : _text[at..].IndexOfAny((byte)'\n', (byte)'\r') is >= 0 and var line ? at + line : _text.Length;
            at = end - 1;
        }

        return at;
    }

    /// <summary>Comments nest. One that stands alone may be a hint.</summary>
    private int CommentEnd(int at)
    {
        int start = at + 2;
        at = start;
        for (int depth = 1; ;)
        {
            int step = _text[at..].IndexOfAny((byte)'/', (byte)'*');
            if (step < 0 || at + step + 1 >= _text.Length)
            {
                _isOpen = true;
                return _text.Length;
            }

            at += step;
            int change = (_text[at], _text[at + 1]) switch
            {
                ((byte)'/', (byte)'*') => 1,
                ((byte)'*', (byte)'/') => -1,
                _ => 0,
            };
            depth += change;
            at += change == 0 ? 1 : 2;
            if (depth == 0)
            {
                RouteHint hint = ReadHint(_text[start..(at - 2)]);
                Hint = hint > Hint ? hint : Hint;
                return at;
            }
        }
    }

    private static RouteHint ReadHint(ReadOnlySpan<byte> comment)
    {
        comment = comment.Trim(" \t\r\n"u8);
        if (comment.Length < 14 || !System.Text.Ascii.EqualsIgnoreCase(comment[..6], "pooler"u8))
        {
            return RouteHint.None;
        }

        comment = comment[6..].TrimStart(" \t\r\n"u8);
        ReadOnlySpan<byte> value = comment[0] == ':' ? comment[1..].TrimStart(" \t\r\n"u8) : default;
        return System.Text.Ascii.EqualsIgnoreCase(value, "primary"u8) ? RouteHint.Primary
            : System.Text.Ascii.EqualsIgnoreCase(value, "replica"u8) ? RouteHint.Replica
            : RouteHint.None;
    }

    private readonly byte Peek(int at) => at < _text.Length ? _text[at] : (byte)0;

    private readonly bool BeginsComment(int at) => (Peek(at), Peek(at + 1)) is ((byte)'-', (byte)'-') or ((byte)'/', (byte)'*');

    private static bool IsBlank(byte b) => b is (byte)' ' or (>= (byte)'\t' and <= (byte)'\r');

    private static bool IsDigit(byte b) => b is >= (byte)'0' and <= (byte)'9';

    private static bool IsOperatorByte(byte b) => b is (byte)'~' or (byte)'!' or (byte)'@' or (byte)'#' or (byte)'^' or (byte)'&' or (byte)'|' or (byte)'`'
        or (byte)'?' or (byte)'+' or (byte)'-' or (byte)'*' or (byte)'/' or (byte)'%' or (byte)'<' or (byte)'>' or (byte)'=';
}
