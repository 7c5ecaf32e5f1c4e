namespace Pooler.Sql;

/// <summary>What a text does to the transaction it runs in, as far as it matters to who loses the server before the answer.</summary>
public enum TransactionEffect : byte
{
    /// <summary>Anything: COMMIT, PREPARE TRANSACTION, several statements, what cannot be read.</summary>
    Unknown,

    /// <summary>Begins a transaction block, for certain.</summary>
    Begins,

    /// <summary>Ends a transaction block and keeps nothing of it.</summary>
    RollsBack,

    /// <summary>Kept or dropped with the transaction around it; without a block it has one of its own.</summary>
    Inside,

    /// <summary>COPY: the same, and with FROM STDIN it is not kept before the end of the data was sent.</summary>
    Copies,

    /// <summary>Runs inside a transaction block like the others, but without one it may commit on its way: CALL, DO, VACUUM …</summary>
    CommitsAlone,
}
