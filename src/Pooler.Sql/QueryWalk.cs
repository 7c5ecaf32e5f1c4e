namespace Pooler.Sql;

/// <summary>
/// Looks for what makes a query more than a read: token by token, without a tree. Where it cannot tell, it is a write.
/// </summary>
internal struct QueryWalk
{
    private const int MaxDepth = 64, NameLimit = 63;

    private static readonly ulong NotEqual = NameHash.Of("<>"u8, isFolded: false);

    private readonly VolatileNames _names;
    private readonly TextEncoding _encoding;

    // The name before this token: what it means hangs on whether a bracket follows.
    private bool _isPending, _isPendingFolded;
    private int _pendingStart, _pendingEnd;
    private ulong _pendingHash;
    private KeywordKind _pendingKind;
    private TokenRole _pendingBefore;

    private TokenRole _role;
    private bool _isDotted;
    private SqlKeyword _last;

    // By depth of brackets, a bit each: inside the list behind WITH; brackets that no alias follows.
    private ulong _withLists, _plainBrackets;
    private int _depth;

    // 1: the bracket of current_setting follows, 2: its argument, 3: what is behind it.
    private int _setting;

    public QueryWalk(in ClassifierContext context)
    {
        _names = context.Names;
        _encoding = context.Encoding;
    }

    /// <summary>Whether only names count: EXPLAIN plans and does not run.</summary>
    public bool IsPlanOnly { get; set; }

    public StatementClass Class { get; private set; }

    public StatementCause Cause { get; private set; }

    /// <summary>It has a table, or a function that may read one.</summary>
    public bool ReadsData { get; private set; }

    public void Writes(StatementCause cause)
    {
        bool counts = !IsPlanOnly || cause is StatementCause.Name or StatementCause.Catalogue or StatementCause.Unreadable;
        if (counts && Class != StatementClass.Write)
        {
            Class = StatementClass.Write;
            Cause = cause;
        }
    }

    /// <summary>A query begins.</summary>
    public void Begin()
    {
        if (_names.IsEverythingVolatile)
        {
            Writes(StatementCause.Catalogue);
        }
    }

    /// <summary>A COPY begins: the next name is that of a table, with columns in brackets.</summary>
    public void BeginCopy()
    {
        Begin();
        _role = TokenRole.Naming;
    }

    /// <summary>Takes the next token; says which key word it is.</summary>
    public SqlKeyword Take(in SqlLexer token)
    {
        if (_isPending && token.Sign == '(')
        {
            Call(token);
        }

        _isPending = false;
        if (_setting > 0)
        {
            CheckSetting(token);
        }

        SqlKeyword last = _last;
        _last = SqlKeyword.None;
        switch (token.Kind)
        {
            case SqlTokenKind.Name:
                TakeName(token, last);
                break;
            case SqlTokenKind.QuotedName:
                Mention(token, KeywordKind.None, isFolded: false);
                _role = TokenRole.Object;
                break;
            case SqlTokenKind.Symbol:
                TakeSymbol(token, last);
                return SqlKeyword.None;
            case SqlTokenKind.Operator:
                TakeOperator(token);
                break;
            case SqlTokenKind.EncodedName:
                Writes(StatementCause.Name);
                _role = TokenRole.Object;
                break;
            case SqlTokenKind.Unfinished:
                Writes(StatementCause.Unreadable);
                break;
            default:
                _role = TokenRole.Any;
                break;
        }

        _isDotted = false;
        return _last;
    }

    /// <summary>The statement ends here.</summary>
    public void End()
    {
        if (_setting > 0)
        {
            Writes(StatementCause.Setting);
        }
    }

    private void TakeName(in SqlLexer token, SqlKeyword last)
    {
        Keyword keyword = _isDotted ? default : Keywords.Find(token.Text, token.Hash);
        if (keyword.Kind != KeywordKind.Reserved)
        {
            Mention(token, keyword.Kind, isFolded: true);
        }

        if (keyword.Kind == KeywordKind.None)
        {
            _role = TokenRole.Object;
            return;
        }

        _last = keyword.Word;
        _role = TokenRole.Any;
        if (keyword.Word != SqlKeyword.Other)
        {
            TakeKeyword(keyword.Word, last);
        }
    }

    private void TakeKeyword(SqlKeyword word, SqlKeyword last)
    {
        ReadsData |= word is SqlKeyword.From or SqlKeyword.Table;
        switch (word)
        {
            case SqlKeyword.Insert or SqlKeyword.Update or SqlKeyword.Delete or SqlKeyword.Merge or SqlKeyword.Into:
            case SqlKeyword.Share or SqlKeyword.Key or SqlKeyword.No when last == SqlKeyword.For:
                Writes(StatementCause.Words);
                break;
            case SqlKeyword.As:
                _role = TokenRole.Naming;
                break;
            case SqlKeyword.TableSample:
                _role = TokenRole.Sampling;
                break;
            case SqlKeyword.With:
                SetWithList(true);
                _role = TokenRole.Naming;
                break;
            case SqlKeyword.Recursive when last == SqlKeyword.With:
                _role = TokenRole.Naming;
                break;
            case SqlKeyword.Time or SqlKeyword.Ordinality or SqlKeyword.Ties when last == SqlKeyword.With:
                SetWithList(false);
                _role = word == SqlKeyword.Ordinality ? TokenRole.Object : TokenRole.Any;
                break;
            case SqlKeyword.Select or SqlKeyword.Values or SqlKeyword.Table:
                SetWithList(false);
                break;
            case SqlKeyword.On when last == SqlKeyword.Distinct:
                _last = SqlKeyword.DistinctOn;
                break;
        }
    }

    private void TakeOperator(in SqlLexer token)
    {
        if (_names.IsVolatileOperator(token.Text, token.Hash) || (token.Text.SequenceEqual("!="u8) && _names.IsVolatileOperator("<>"u8, NotEqual)))
        {
            Writes(StatementCause.Operator);
        }

        _role = TokenRole.Any;
    }

    private void TakeSymbol(in SqlLexer token, SqlKeyword last)
    {
        bool isDot = false;
        switch (token.Sign)
        {
            case (byte)'(':
                OpenBracket(last is SqlKeyword.Operator or SqlKeyword.DistinctOn);
                break;
            case (byte)')':
                CloseBracket();
                break;
            case (byte)',':
                _role = TokenRole.Comma;
                break;
            case (byte)'.':
                // What may follow a name is what might have followed the first part of it.
                _role = _role == TokenRole.Object ? _pendingBefore : TokenRole.Any;
                isDot = true;
                break;
            default:
                _role = token.Text.SequenceEqual("::"u8) ? TokenRole.Naming : TokenRole.Any;
                break;
        }

        _isDotted = isDot;
    }

    private void OpenBracket(bool isPlain)
    {
        if (_role == TokenRole.Brackets)
        {
            SetWithList(false); // WITH … AS (…) (SELECT …)
        }

        _depth++;
        ulong bit = DepthBit();
        _withLists &= ~bit;
        _plainBrackets = isPlain ? _plainBrackets | bit : _plainBrackets & ~bit;
        _role = TokenRole.Any;
    }

    private void CloseBracket()
    {
        ulong bit = DepthBit();
        _role = bit != 0 && (_plainBrackets & bit) == 0 ? TokenRole.Brackets : TokenRole.Any;
        _depth = Math.Max(_depth - 1, 0);
    }

    private readonly ulong DepthBit() => _depth < MaxDepth ? 1UL << _depth : 0;

    private void SetWithList(bool isInside) => _withLists = isInside ? _withLists | DepthBit() : _withLists & ~DepthBit();

    /// <summary>A name that is a column, a table, an alias, a type; or, if a bracket follows, a function.</summary>
    private void Mention(in SqlLexer token, KeywordKind kind, bool isFolded)
    {
        ReadOnlySpan<byte> name = token.Text;
        if (name.Length > NameLimit || _names.IsUnsafe(name, token.Hash, isFolded) || (_encoding != TextEncoding.Utf8 && !System.Text.Ascii.IsValid(name)))
        {
            Writes(StatementCause.Name);
        }

        _isPending = true;
        _isPendingFolded = isFolded;
        _pendingStart = isFolded ? token.Start : token.Start + 1;
        _pendingEnd = isFolded ? token.End : token.End - 1;
        _pendingHash = token.Hash;
        _pendingKind = kind;
        _pendingBefore = _role == TokenRole.Comma && (_withLists & DepthBit()) != 0 ? TokenRole.Naming : _role;
    }

    /// <summary>A bracket follows the name.</summary>
    private void Call(in SqlLexer token)
    {
        if (_pendingBefore == TokenRole.Sampling)
        {
            return;
        }

        ReadOnlySpan<byte> name = token.Slice(_pendingStart, _pendingEnd);
        ReadsData |= _pendingKind != KeywordKind.Syntax && !ConnectionFunctions.Has(name, _pendingHash, _isPendingFolded);
        NameUse use = _names.FindFunction(name, _pendingHash, _isPendingFolded);
        if ((use & NameUse.VolatileFunction) != 0)
        {
            Writes(StatementCause.Function);
        }
        else if ((use & NameUse.SessionFunction) != 0)
        {
            LivesInSession();
        }
        else if ((use & NameUse.Function) == 0 && _pendingKind != KeywordKind.Syntax && _pendingBefore is TokenRole.Any or TokenRole.Comma)
        {
            Writes(StatementCause.UnknownFunction);
        }

        _setting = (use & NameUse.SettingFunction) != 0 ? 1 : _setting;
    }

    private void LivesInSession()
    {
        if (!IsPlanOnly && Class < StatementClass.Session)
        {
            Class = StatementClass.Session;
            Cause = StatementCause.Function;
        }
    }

    /// <summary>current_setting('name'…): what is not a setting's plain name may be any.</summary>
    private void CheckSetting(in SqlLexer token)
    {
        bool isGood = _setting switch
        {
            1 => token.Sign == '(',
            2 => token.Kind == SqlTokenKind.Literal && token.IsPlain && !HostSettings.Has(token.Text),
            _ => token.Sign == ',' || token.Sign == ')',
        };
        if (!isGood)
        {
            Writes(StatementCause.Setting);
        }

        _setting = isGood && _setting < 3 ? _setting + 1 : 0;
    }
}
