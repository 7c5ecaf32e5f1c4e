namespace Pooler.Sql;

/// <summary>Where in a statement the classifier is.</summary>
internal enum StatementPart : byte
{
    /// <summary>Before its first word.</summary>
    Head,

    /// <summary>In a query.</summary>
    Query,

    /// <summary>What is left changes nothing.</summary>
    Rest,

    /// <summary>Behind BEGIN, COMMIT, ROLLBACK, SET TRANSACTION: modes.</summary>
    Modes,

    /// <summary>Behind SET.</summary>
    Set,

    /// <summary>Behind the name of a SET: its value.</summary>
    SetValue,

    /// <summary>Behind PREPARE.</summary>
    Prepare,

    /// <summary>Behind SHOW.</summary>
    Show,

    /// <summary>Behind DECLARE, before FOR.</summary>
    Declare,

    /// <summary>Behind COPY, before TO or FROM.</summary>
    Copy,

    /// <summary>Behind COPY … TO.</summary>
    CopyTarget,

    /// <summary>Behind EXPLAIN.</summary>
    Explain,

    /// <summary>In the brackets of EXPLAIN.</summary>
    ExplainOptions,

    /// <summary>Behind CREATE, where a body may hold statements of its own.</summary>
    Create,
}
