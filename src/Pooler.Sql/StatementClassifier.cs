namespace Pooler.Sql;

/// <summary>
/// Says of a text whether a standby may run it. It knows what PostgreSQL's scanner knows and no grammar: each rule is on the
/// safe side, so that what is not known to be a read is a write.
/// </summary>
public static class StatementClassifier
{
    /// <summary>Classes a text of one or several statements, as of Query or Parse. Allocates nothing.</summary>
    public static StatementSummary Classify(ReadOnlySpan<byte> text, in ClassifierContext context)
    {
        return StatementText.IsHidden(text, context.Encoding)
            ? new StatementSummary { Class = StatementClass.Write, Cause = StatementCause.Unreadable, IsSeveral = true, IsSerializable = true }
            : new StatementWalk(text, context).Run();
    }
}
