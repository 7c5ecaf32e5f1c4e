namespace Pooler.Sql;

/// <summary>What transactions begun in a text may do; of several the last in this order counts.</summary>
public enum TransactionAccess : byte
{
    /// <summary>None is begun.</summary>
    None,

    ReadOnly,

    /// <summary>As default_transaction_read_only says.</summary>
    Default,

    ReadWrite,
}
