using Pooler.Config;
using Pooler.Sql;

namespace Pooler.Statements;

/// <summary>
/// The times of one statement that is traced, on the clock of the I/O threads, in microseconds; 0: there was no such thing. Written by
/// the session until it is put into the <see cref="TraceQueue"/>.
/// </summary>
internal sealed class TraceRecord
{
    /// <summary>The caller's place in its trace, if its text says so.</summary>
    public required TraceParent Parent { get; init; }

    public required StatementEntry Statement { get; init; }

    /// <summary>When the client began to ask for a server, and when it had one; of what comes later in its lease both are 0.</summary>
    public long Asked { get; init; }

    /// <inheritdoc cref="Asked"/>
    public long Leased { get; init; }

    /// <summary>When the server it got was begun to be connected, and was logged in.</summary>
    public long ConnectBegan { get; init; }

    /// <inheritdoc cref="ConnectBegan"/>
    public long LoggedIn { get; init; }

    public required long Sent { get; init; }

    /// <summary>When the first of the answer came.</summary>
    public long Answered { get; set; }

    public long Ended { get; set; }

    public long Rows { get; set; }

    /// <summary>Null without an error.</summary>
    public string? SqlState { get; set; }

    public HostAddress Host { get; set; }
}
