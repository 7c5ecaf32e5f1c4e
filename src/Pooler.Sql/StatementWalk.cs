namespace Pooler.Sql;

/// <summary>One walk over a text: parts it into statements, and looks at each as far as its class asks for.</summary>
internal ref struct StatementWalk(ReadOnlySpan<byte> text, in ClassifierContext context)
{
    private readonly ClassifierContext _context = context;
    private SqlLexer _lexer = new(text, context.HasConformingStrings);
    private QueryWalk _query = new(context);
    private ExplainOptions _options = new();

    // Of this statement.
    private StatementPart _part;
    private SqlKeyword _last;
    private StatementClass _class;
    private StatementCause _cause;
    private TransactionStep _step;
    private TransactionAccess _access;
    private int _depth, _atomicDepth;
    private bool _isExplain, _runs;

    // Of all of them.
    private StatementClass _strongest;
    private StatementCause _strongestCause;
    private TransactionStep _strongestStep;
    private TransactionAccess _strongestAccess;
    private bool _isSerializable, _readsData;
    private int _statements;

    public StatementSummary Run()
    {
        var fingerprint = new Fingerprint();
        while (_lexer.Next())
        {
            if (_lexer.Kind == SqlTokenKind.Unfinished)
            {
                Be(StatementClass.Write, StatementCause.Unreadable);
            }

            fingerprint.Add(_lexer);
            Take();
        }

        EndStatement();
        return new StatementSummary
        {
            Class = _strongest,
            Cause = _strongestCause,
            Step = _strongestStep,
            Access = _strongestAccess,
            IsSerializable = _isSerializable,
            IsSeveral = _statements > 1,
            Hint = _lexer.Hint,
            IsDataless = !_readsData && _strongest == StatementClass.Read,
            Fingerprint = fingerprint.Value,
        };
    }

    private void Take()
    {
        if (_lexer.Kind == SqlTokenKind.Symbol)
        {
            if (_lexer.Sign == ';' && _depth == 0 && _atomicDepth == 0)
            {
                EndStatement();
                return;
            }

            _depth += _lexer.Sign == '(' ? 1 : _lexer.Sign == ')' && _depth > 0 ? -1 : 0;
        }

        if (_part == StatementPart.Query)
        {
            _query.Take(_lexer);
        }
        else if (_part != StatementPart.Rest)
        {
            TakeOutsideQuery();
        }
    }

    private void TakeOutsideQuery()
    {
        SqlKeyword keyword = _lexer.Kind == SqlTokenKind.Name ? Keywords.Find(_lexer.Text, _lexer.Hash).Word : SqlKeyword.None;
        switch (_part)
        {
            case StatementPart.Head:
                TakeHead(keyword);
                break;
            case StatementPart.Modes:
                TakeMode(keyword);
                break;
            case StatementPart.Set:
                TakeSet(keyword);
                break;
            case StatementPart.SetValue:
                _isSerializable |= IsSerializable(keyword);
                break;
            case StatementPart.Prepare:
                _step = keyword == SqlKeyword.Transaction ? TransactionStep.TwoPhase : TransactionStep.None;
                Go(keyword == SqlKeyword.Transaction ? StatementClass.Write : StatementClass.Session, StatementPart.Rest);
                break;
            case StatementPart.Show:
                TakeShow(keyword);
                break;
            case StatementPart.Declare:
                if (keyword == SqlKeyword.For)
                {
                    _query.Begin();
                    _part = StatementPart.Query;
                }

                break;
            case StatementPart.Copy:
                TakeCopy(keyword);
                break;
            case StatementPart.CopyTarget:
                Go(keyword == SqlKeyword.Stdout ? StatementClass.Read : StatementClass.Write, StatementPart.Rest);
                break;
            case StatementPart.Explain:
                TakeExplain(keyword);
                break;
            case StatementPart.ExplainOptions:
                TakeExplainOption(keyword);
                break;
            case StatementPart.Create:
                TakeCreate(keyword);
                break;
        }

        _last = keyword;
    }

    private void TakeHead(SqlKeyword keyword)
    {
        switch (keyword)
        {
            case SqlKeyword.Select or SqlKeyword.Values or SqlKeyword.Table or SqlKeyword.With:
                StartQuery();
                break;
            case SqlKeyword.None when _lexer.Sign == '(':
                StartQuery();
                break;
            case SqlKeyword.Explain when !_isExplain:
                _part = StatementPart.Explain;
                break;
            case SqlKeyword.Begin or SqlKeyword.Start:
                _access = TransactionAccess.Default;
                Step(TransactionStep.Begin, StatementPart.Modes);
                break;
            case SqlKeyword.Commit or SqlKeyword.End:
                Step(TransactionStep.Commit, StatementPart.Modes);
                break;
            case SqlKeyword.Rollback or SqlKeyword.Abort:
                Step(TransactionStep.Rollback, StatementPart.Modes);
                break;
            case SqlKeyword.Savepoint:
                Step(TransactionStep.Savepoint, StatementPart.Rest);
                break;
            case SqlKeyword.Release:
                Step(TransactionStep.Release, StatementPart.Rest);
                break;
            case SqlKeyword.Set:
                _part = StatementPart.Set;
                break;
            case SqlKeyword.Prepare:
                _part = StatementPart.Prepare;
                break;
            case SqlKeyword.Declare:
                Go(StatementClass.Session, StatementPart.Declare);
                break;
            case SqlKeyword.Reset or SqlKeyword.Discard or SqlKeyword.Listen or SqlKeyword.Unlisten or SqlKeyword.Deallocate:
            case SqlKeyword.Fetch or SqlKeyword.Move or SqlKeyword.Close or SqlKeyword.Load:
                Go(StatementClass.Session, StatementPart.Rest);
                break;
            case SqlKeyword.Show:
                _part = StatementPart.Show;
                break;
            case SqlKeyword.Copy:
                _query.BeginCopy();
                _part = StatementPart.Copy;
                break;
            default:
                Go(StatementClass.Write, keyword == SqlKeyword.Create ? StatementPart.Create : StatementPart.Rest);
                break;
        }
    }

    private void StartQuery()
    {
        _part = StatementPart.Query;
        _query.Begin();
        _query.Take(_lexer);
    }

    private void Step(TransactionStep step, StatementPart next)
    {
        _step = step;
        Go(StatementClass.Transaction, next);
    }

    private void Go(StatementClass kind, StatementPart next)
    {
        Be(kind, StatementCause.Command);
        _part = next;
    }

    private void Be(StatementClass kind, StatementCause cause)
    {
        if (kind > _class)
        {
            _class = kind;
            _cause = cause;
        }
    }

    /// <summary>ISOLATION LEVEL …, READ ONLY, READ WRITE; TO SAVEPOINT; PREPARED.</summary>
    private void TakeMode(SqlKeyword keyword)
    {
        switch (keyword)
        {
            case SqlKeyword.Only when _last == SqlKeyword.Read:
                _access = _access == TransactionAccess.ReadWrite ? _access : TransactionAccess.ReadOnly;
                break;
            case SqlKeyword.Write when _last == SqlKeyword.Read:
                _access = TransactionAccess.ReadWrite;
                break;
            case SqlKeyword.Serializable:
                _isSerializable = true;
                break;
            case SqlKeyword.Prepared:
                _step = TransactionStep.TwoPhase;
                Go(StatementClass.Write, StatementPart.Rest);
                break;
            case SqlKeyword.To:
                Step(TransactionStep.RollbackTo, StatementPart.Rest);
                break;
        }
    }

    private void TakeSet(SqlKeyword keyword)
    {
        if (keyword is SqlKeyword.Session or SqlKeyword.Local)
        {
            return;
        }

        if (keyword == SqlKeyword.Transaction)
        {
            Step(TransactionStep.Set, StatementPart.Modes);
        }
        else if (_lexer.Text.Length > 12 && System.Text.Ascii.EqualsIgnoreCase(_lexer.Text[..12], "transaction_"u8))
        {
            // transaction_read_only: the value is not looked at.
            _access = TransactionAccess.ReadWrite;
            Step(TransactionStep.Set, StatementPart.SetValue);
        }
        else
        {
            Go(StatementClass.Session, StatementPart.SetValue);
        }
    }

    private readonly bool IsSerializable(SqlKeyword keyword) => keyword == SqlKeyword.Serializable
        || (_lexer.Kind is SqlTokenKind.Literal or SqlTokenKind.QuotedName && System.Text.Ascii.EqualsIgnoreCase(_lexer.Text, "serializable"u8));

    private void TakeShow(SqlKeyword keyword)
    {
        if (keyword == SqlKeyword.All || HostSettings.Has(_lexer.Text))
        {
            Be(StatementClass.Write, StatementCause.Setting);
        }

        _part = StatementPart.Rest;
    }

    /// <summary>COPY t (…) or COPY (query), then TO or FROM.</summary>
    private void TakeCopy(SqlKeyword keyword)
    {
        _query.Take(_lexer);
        if (_depth == 0 && keyword == SqlKeyword.From)
        {
            Go(StatementClass.Write, StatementPart.Rest);
        }
        else if (_depth == 0 && keyword == SqlKeyword.To)
        {
            _part = StatementPart.CopyTarget;
        }
    }

    /// <summary>EXPLAIN [ANALYZE] [VERBOSE] or EXPLAIN (options): what follows is run or only planned.</summary>
    private void TakeExplain(SqlKeyword keyword)
    {
        if (_lexer.Sign == '(' && !_isExplain)
        {
            _isExplain = true;
            _part = StatementPart.ExplainOptions;
            return;
        }

        _isExplain = true;
        _runs |= keyword == SqlKeyword.Analyze;
        if (keyword is SqlKeyword.Analyze or SqlKeyword.Verbose)
        {
            return;
        }

        if (_runs || keyword == SqlKeyword.Execute)
        {
            TakeHead(keyword);
        }
        else
        {
            StartPlan();
        }
    }

    private void StartPlan()
    {
        _query.IsPlanOnly = true;
        StartQuery();
    }

    private void TakeExplainOption(SqlKeyword keyword)
    {
        if (_last == SqlKeyword.None && _lexer.Sign == '('
            || keyword is SqlKeyword.Select or SqlKeyword.Values or SqlKeyword.Table or SqlKeyword.With)
        {
            StartPlan(); // These are the brackets of a query.
            return;
        }

        _options.Take(_lexer, keyword);
        if (_lexer.Sign == ')')
        {
            _runs = _options.Runs;
            _part = StatementPart.Explain;
        }
    }

    /// <summary>BEGIN ATOMIC … END: the body of a function, whose semicolons part nothing.</summary>
    private void TakeCreate(SqlKeyword keyword)
    {
        if (_atomicDepth == 0)
        {
            _atomicDepth = keyword == SqlKeyword.Atomic && _last == SqlKeyword.Begin ? 1 : 0;
            return;
        }

        _atomicDepth += keyword == SqlKeyword.Case ? 1 : keyword == SqlKeyword.End ? -1 : 0;
    }

    private void EndStatement()
    {
        _query.End();
        _statements += _part == StatementPart.Head ? 0 : 1;
        _readsData |= _query.ReadsData || _isExplain || _part is not (StatementPart.Head or StatementPart.Query);

        Be(_query.Class, _query.Cause);
        if (_class > _strongest)
        {
            _strongest = _class;
            _strongestCause = _cause;
        }

        _strongestStep = _step > _strongestStep ? _step : _strongestStep;
        _strongestAccess = _access > _strongestAccess ? _access : _strongestAccess;
        Forget();
    }

    private void Forget()
    {
        _query = new QueryWalk(_context);
        _options = new ExplainOptions();
        _part = StatementPart.Head;
        _last = SqlKeyword.None;
        _class = StatementClass.Read;
        _cause = StatementCause.None;
        _step = TransactionStep.None;
        _access = TransactionAccess.None;
        _depth = _atomicDepth = 0;
        _isExplain = _runs = false;
    }
}
