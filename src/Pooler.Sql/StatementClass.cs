namespace Pooler.Sql;

/// <summary>What a statement does to the database, the weakest first: of several in one text the strongest counts.</summary>
public enum StatementClass : byte
{
    /// <summary>Changes nothing and finds the same on a standby: any host may run it.</summary>
    Read,

    /// <summary>BEGIN, COMMIT, SAVEPOINT, SET TRANSACTION …</summary>
    Transaction,

    /// <summary>SET, LISTEN, PREPARE, DECLARE, FETCH …: lives in the session that runs it.</summary>
    Session,

    /// <summary>Everything else, and what is not known.</summary>
    Write,
}
