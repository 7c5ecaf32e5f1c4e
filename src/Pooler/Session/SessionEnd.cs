using Pooler.Backend;
using Pooler.Errors;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Why a session ends: what the log says, and what the client is told (nothing when it left by itself).</summary>
internal sealed record SessionEnd(string Reason, ErrorFields? Error)
{
    public static SessionEnd Quiet(string reason) => new(reason, null);

    /// <summary>The client has said Terminate.</summary>
    public static SessionEnd Goodbye { get; } = new("client close request", null);

    public static SessionEnd Over(ErrorFields error) => new(error.Message, error);

    /// <summary>
    /// The server died under the client: in its own words when it had any, else as 08006. If something was under way that may have
    /// been committed it is 08007 (transaction_resolution_unknown) whatever the server said. The connection ends, as PgBouncer's
    /// does: what the client had there is gone, and drivers connect anew over class 08 and 57P01.
    /// </summary>
    public static SessionEnd OverServer(ServerConnection server, ServerLoss loss, ErrorFields? lastWords)
    {
        ErrorFields failure = (server.Failure!.SqlState == "08006" ? lastWords ?? server.Failure : server.Failure) with { Severity = "FATAL" };
        if (server.FrameRemaining > 0)
        {
            return Quiet(failure.Message); // The client would take our words for the rest of its row.
        }

        failure = loss switch
        {
            ServerLoss.Unknown => Doubted(failure),
            ServerLoss.RolledBack => failure with
            {
                Detail = Both("The transaction was not committed.", failure.Detail),
                Hint = Both("Connect again and run it from its beginning.", failure.Hint),
            },
            _ => failure,
        };
        return Over(failure);
    }

    /// <summary>We end it ourselves while something is under way that may be committed all the same: its own words first, then that.</summary>
    public SessionEnd InDoubt() => Error is { } error && error.SqlState != SessionErrors.Doubted.SqlState ? this with { Error = Doubted(error) } : this;

    private static ErrorFields Doubted(ErrorFields error)
    {
        ErrorFields doubted = SessionErrors.Doubted.Because(Both("It was sent to the server and not answered: it may or may not have been committed.", error.Detail), error.Message);
        return doubted with { Hint = Both(doubted.Hint!, error.Hint) };
    }

    private static string Both(string first, string? second) => second is { Length: > 0 } ? $"{first} {second}" : first;
}
