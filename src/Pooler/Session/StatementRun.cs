using Pooler.Statements;

namespace Pooler.Session;

/// <summary>A statement that was sent and has no full answer yet. Times on the thread's clock, microseconds.</summary>
internal struct StatementRun
{
    /// <summary>Null when nobody knows what it runs.</summary>
    public StatementEntry? Entry;

    public long Sent, Wait, Rows;

    /// <summary>Of its error (<see cref="StatementOutcome.StateOf"/>); 0: none.</summary>
    public ulong SqlState;

    /// <summary>Null unless it is traced.</summary>
    public TraceRecord? Trace;
}
