namespace Pooler.Sql;

/// <summary>
/// Finds in a text the statements that leave state which keeps a client on its server. Strings and bodies of functions are not
/// looked into: what they do shows when the server is asked.
/// </summary>
public ref struct PinScan(ReadOnlySpan<byte> text)
{
    private readonly ReadOnlySpan<byte> _text = text;
    private SqlWords _words = new(text);
    private bool _isInside;

    // Of the statement looked at: it is a CREATE; its last word was one that TEMP may follow, or WITH; it is a DECLARE.
    private bool _isCreate, _isDeclare, _mayBeTemp, _wasWith;

    public PinReason Reason { get; private set; }

    /// <summary>The name of a <see cref="PinReason.Setting"/>, as written; empty when it is not known.</summary>
    public ReadOnlySpan<byte> Name { get; private set; }

    /// <summary>
    /// Whether a text is worth a look: its first word says so, it has more than one statement or begins with a comment. A cheap
    /// question, asked of every statement beside <see cref="StateScan"/>.
    /// </summary>
    public static bool IsLikely(ReadOnlySpan<byte> text)
    {
        text = text.TrimStart(" \t\r\n"u8);
        if (text.IsEmpty)
        {
            return false;
        }

        bool isHead = (text[0] | 0x20) switch
        {
            's' => Starts(text, "set"u8),
            'l' => Starts(text, "listen"u8) || Starts(text, "load"u8),
            'd' => Starts(text, "declare"u8),
            'p' => Starts(text, "prepare"u8),
            '-' or '/' => true,
            _ => false,
        };
        int end = isHead ? 0 : text.IndexOf((byte)';');
        return isHead || (end >= 0 && text[(end + 1)..].TrimStart(" \t\r\n\0"u8).Length > 0);
    }

    /// <summary>Goes on to the next such statement.</summary>
    public bool Next()
    {
        while (_words.Next())
        {
            if (_words.IsSymbol(';'))
            {
                _isInside = _isCreate = _isDeclare = _mayBeTemp = _wasWith = false;
                continue;
            }

            bool isHead = !_isInside;
            _isInside = true;
            PinReason reason = isHead ? Head() : Inner();
            if (reason != PinReason.None)
            {
                Reason = reason;
                return true;
            }
        }

        return false;
    }

    private PinReason Head()
    {
        if (_words.Is("set"u8))
        {
            return Set();
        }

        if (_words.Is("listen"u8))
        {
            return PinReason.Listen;
        }

        if (_words.Is("prepare"u8))
        {
            return _words.Next() && !_words.Is("transaction"u8) ? PinReason.PreparedStatement : PinReason.None;
        }

        _isDeclare = _words.Is("declare"u8);
        _isCreate = _mayBeTemp = _words.Is("create"u8);
        return PinReason.None;
    }

    private PinReason Inner()
    {
        bool wasWith = _wasWith, mayBeTemp = _mayBeTemp;
        _wasWith = _words.Is("with"u8);
        _mayBeTemp = _words.Is("into"u8) || (_isCreate && (_words.Is("local"u8) || _words.Is("global"u8) || _words.Is("replace"u8)));
        if (_isDeclare && wasWith && _words.Is("hold"u8))
        {
            return PinReason.HoldCursor;
        }

        if ((mayBeTemp && (_words.Is("temp"u8) || _words.Is("temporary"u8))) || (_isCreate && _words.Is("pg_temp"u8)))
        {
            return PinReason.TemporaryTable;
        }

        if (_words.Kind is not (SqlWordKind.Word or SqlWordKind.QuotedName))
        {
            return PinReason.None;
        }

        return StateScan.HasAdvisoryLock(_words.Text) ? PinReason.AdvisoryLock
            : System.Text.Ascii.EqualsIgnoreCase(_words.Text, "set_config"u8) ? SetConfig()
            : PinReason.None;
    }

    /// <summary>SET [SESSION] name …, but not LOCAL, not of the transaction, not TO DEFAULT.</summary>
    private PinReason Set()
    {
        bool isSession = _words.Next() && _words.Is("session"u8) && _words.Next();
        if (_words.Is("local"u8) || _words.Is("transaction"u8) || _words.Is("constraints"u8))
        {
            return PinReason.None;
        }

        Name = isSession && _words.Is("authorization"u8) ? "session_authorization"u8
            : isSession && _words.Is("characteristics"u8) ? "default_transaction_isolation"u8
            : _words.Is("time"u8) ? "TimeZone"u8
            : _words.Is("names"u8) ? "client_encoding"u8
            : _words.Is("schema"u8) ? "search_path"u8
            : _words.Text;
        int start = _words.Start, end = _words.End;
        while (_words.Next() && (_words.IsSymbol('.') || _text[end - 1] == '.'))
        {
            end = _words.End;
            Name = _text[start..end];
        }

        bool isDefault = (_words.IsSymbol('=') || _words.Is("to"u8)) && _words.Next() && _words.Is("default"u8);
        return isDefault ? PinReason.None : PinReason.Setting;
    }

    /// <summary>set_config('name', value, is_local): with true it ends with the transaction.</summary>
    private PinReason SetConfig()
    {
        Name = default;
        if (!_words.Next() || !_words.IsSymbol('('))
        {
            return PinReason.None;
        }

        bool isLocal = false;
        for (int depth = 1, count = 0; depth > 0 && _words.Next(); count++)
        {
            depth += _words.IsSymbol('(') ? 1 : _words.IsSymbol(')') ? -1 : 0;
            isLocal = depth == 0 ? isLocal : _words.Is("true"u8);
            if (count == 0 && _words.Kind == SqlWordKind.Literal)
            {
                Name = _words.Text;
            }
        }

        return isLocal ? PinReason.None : PinReason.Setting;
    }

    private static bool Starts(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) =>
        text.Length > word.Length && System.Text.Ascii.EqualsIgnoreCase(text[..word.Length], word);
}
