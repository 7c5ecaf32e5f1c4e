namespace Pooler.Session;

/// <summary>What an error of the server says of prepared statements.</summary>
internal enum StatementError : byte
{
    None,

    /// <summary>26000: there is none of that name.</summary>
    Unknown,

    /// <summary>42P05: there is one of that name.</summary>
    Duplicate,

    /// <summary>0A000 "cached plan must not change result type": a table has changed under it.</summary>
    PlanInvalid,

    /// <summary>08P01: it was bound in a way it cannot be.</summary>
    Misused,
}
