namespace Pooler.Sql;

/// <summary>What the classifier says of a text.</summary>
public readonly record struct StatementSummary
{
    /// <summary>The strongest class of its statements.</summary>
    public StatementClass Class { get; init; }

    /// <summary>Why it is no read.</summary>
    public StatementCause Cause { get; init; }

    public TransactionStep Step { get; init; }

    public TransactionAccess Access { get; init; }

    /// <summary>Whether it asks for the isolation level SERIALIZABLE.</summary>
    public bool IsSerializable { get; init; }

    /// <summary>Whether it has more than one statement.</summary>
    public bool IsSeveral { get; init; }

    public RouteHint Hint { get; init; }

    /// <summary>Whether its answer is the same whatever a standby has replayed: queries without tables, or nothing at all.</summary>
    public bool IsDataless { get; init; }

    /// <summary>The same for texts that differ only in values, blanks, comments and the case of names; 0 if the text was not read.</summary>
    public ulong Fingerprint { get; init; }
}
