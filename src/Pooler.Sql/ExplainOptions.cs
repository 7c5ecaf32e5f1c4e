namespace Pooler.Sql;

/// <summary>The options of EXPLAIN in brackets: whether one of them makes it run the statement.</summary>
internal struct ExplainOptions
{
    private bool _isName, _isAnalyze;

    public ExplainOptions() => _isName = true;

    /// <summary>Whether ANALYZE is on. An option that cannot be read counts as that.</summary>
    public bool Runs { get; private set; }

    /// <summary>Takes a token up to and with the closing bracket.</summary>
    public void Take(in SqlLexer token, SqlKeyword keyword)
    {
        if (token.Sign == ',' || token.Sign == ')')
        {
            Runs |= _isAnalyze;
            _isName = true;
            _isAnalyze = false;
        }
        else if (_isName)
        {
            _isName = false;
            _isAnalyze = keyword == SqlKeyword.Analyze || token.Kind != SqlTokenKind.Name;
        }
        else if (_isAnalyze)
        {
            _isAnalyze = !(token.Text.SequenceEqual("0"u8) || System.Text.Ascii.EqualsIgnoreCase(token.Text, "false"u8)
                || System.Text.Ascii.EqualsIgnoreCase(token.Text, "off"u8));
        }
    }
}
