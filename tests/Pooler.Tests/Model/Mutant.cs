namespace Pooler.Tests.Model;

/// <summary>One rule of the model left out: the exploration has to notice.</summary>
internal enum Mutant
{
    None,

    /// <summary>A server goes back at the first ReadyForQuery, whatever else is owed.</summary>
    ReleaseBeforeTheQueueIsEmpty,
    ReleaseInATransaction,
    ReleaseInABatch,
    ReleaseDirty,

    /// <summary>A server goes back with half a message of its client sent.</summary>
    ReleaseMidFrame,

    /// <summary>Whether a server can go back is looked at when it replies, and not when the client completes a message.</summary>
    ReleaseOnlyAtReplies,

    /// <summary>A client that leaves in the middle of a message costs no server.</summary>
    KeepServerAfterHalfAMessage,

    /// <summary>A cancelled server goes back before the cancel's connection has ended.</summary>
    ReleaseWithACancelUnderWay,

    /// <summary>The cancel for a client that leaves may hit the SET in front of its request.</summary>
    CancelTheSettings,

    /// <summary>A cancel hits whatever its client runs when it comes, be it another request than that it was for.</summary>
    CancelWhateverRuns,

    /// <summary>While a cancel of what was answered is still under way its client's next request goes to the server.</summary>
    ForwardUnderACancel,

    /// <summary>The same while an earlier one of a pipeline still runs.</summary>
    PipelineUnderACancel,

    /// <summary>A client that cancels its request with a grant keeps the server.</summary>
    LoseTheGrantOfACanceled,
    NoRollback,

    /// <summary>A batch that its client left open is not synced.</summary>
    NoSync,

    /// <summary>A COPY that its client left is not failed.</summary>
    NoCopyFail,

    /// <summary>A client that leaves with a grant keeps it.</summary>
    LoseTheGrantOfALeaver,
    GrantTwice,

    /// <summary>A freed server wakes nobody.</summary>
    WakeNobody,

    /// <summary>The request of a server that died is sent again.</summary>
    SendAgain,
    NoSettings,

    /// <summary>After a failed COPY nobody asks whether a Sync within it was answered, and ReadyForQuery may answer a Query by itself.</summary>
    TrustAFailedCopy,
}
