using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Whether nobody could tell, if the server died now, what became of a transaction: something that commits was sent and not fully
/// answered. Follows what is sent; every rule is on the side of doubt. A block commits by a statement, a Query without one at its
/// end, a batch without one at its Sync (PostgreSQL documentation, 55.2.2.1 and 55.2.4).
/// </summary>
internal struct CommitDoubt
{
    // A batch outside a block runs something that its Sync commits; it has begun a block itself; its last Bind was of a BEGIN.
    private bool _batchRuns, _batchBegins, _isBeginBound;

    // A portal of something that may end the block was bound: each Execute may be its.
    private bool _hasBoundEnd;

    private bool _mayHaveCommitted, _copies;

    /// <summary>What is sent next runs in a transaction block, unless what went ahead of it fails.</summary>
    public bool IsInBlock { get; private set; }

    /// <summary>Something that was sent may be committed by now. <paramref name="isInCopy"/>: the server waits for data, which are not.</summary>
    public readonly bool Is(bool isInCopy) => _mayHaveCommitted || (_copies && !isInCopy);

    /// <summary>Everything sent has been answered.</summary>
    public void Settle(bool isInBlock)
    {
        _hasBoundEnd &= isInBlock;
        IsInBlock = isInBlock;
        _mayHaveCommitted = _hasBoundEnd;
        _batchRuns = _batchBegins = _isBeginBound = _copies = false;
    }

    /// <param name="isInBatch">Behind messages without a Sync, over whose error it may be skipped; else it ends them as a Sync would.</param>
    public void Query(TransactionEffect effect, bool isInBatch)
    {
        Sync();
        Run(isInBatch && effect == TransactionEffect.Begins ? TransactionEffect.Unknown : effect);
        _mayHaveCommitted |= effect == TransactionEffect.Inside && !IsInBlock;
        _batchBegins = false;
    }

    /// <summary>A portal is bound; that it is executed goes without saying, but for a BEGIN, of which we make sure.</summary>
    public void Bind(TransactionEffect effect, bool isNamed)
    {
        _isBeginBound = effect == TransactionEffect.Begins && !isNamed;
        if (effect != TransactionEffect.Begins)
        {
            _hasBoundEnd |= effect is TransactionEffect.Unknown or TransactionEffect.RollsBack;
            Run(effect);
            _batchRuns |= !IsInBlock;
        }
    }

    public void Execute(bool isNamed)
    {
        if (_isBeginBound && !isNamed)
        {
            Run(TransactionEffect.Begins);
        }
    }

    public void Sync()
    {
        _mayHaveCommitted |= _batchRuns && !IsInBlock;

        // The BEGIN may have been skipped over an error before it.
        IsInBlock &= !_batchBegins;
        _batchRuns = _batchBegins = _isBeginBound = false;
    }

    public void FunctionCall(bool isInBatch) => Query(TransactionEffect.CommitsAlone, isInBatch);

    private void Run(TransactionEffect effect)
    {
        switch (effect)
        {
            case TransactionEffect.Begins:
                _batchBegins |= !IsInBlock;
                IsInBlock = true;
                break;
            case TransactionEffect.RollsBack:
                IsInBlock = false;
                break;
            case TransactionEffect.Inside:
                break;
            case TransactionEffect.Copies:
                _copies |= !IsInBlock;
                break;
            case TransactionEffect.CommitsAlone:
                _mayHaveCommitted |= !IsInBlock;
                break;
            default:
                _mayHaveCommitted = true;
                IsInBlock = false;
                break;
        }
    }
}
