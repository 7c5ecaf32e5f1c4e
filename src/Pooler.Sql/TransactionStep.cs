namespace Pooler.Sql;

/// <summary>What a text does to transactions; of several steps the last in this order counts.</summary>
public enum TransactionStep : byte
{
    None,

    /// <summary>SET TRANSACTION, SET transaction_read_only …</summary>
    Set,

    Savepoint,
    Release,
    RollbackTo,
    Commit,
    Rollback,
    Begin,

    /// <summary>PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.</summary>
    TwoPhase,
}
