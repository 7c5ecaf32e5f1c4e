using Pooler.Backend;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Why a session ends: what the log says, and what the client is told (nothing when it left by itself).</summary>
internal sealed record SessionEnd(string Reason, ErrorFields? Error)
{
    /// <summary>transaction_resolution_unknown.</summary>
    public const string Unknown = "08007";

    public static SessionEnd Quiet(string reason) => new(reason, null);

    /// <summary>The client has said Terminate.</summary>
    public static SessionEnd Goodbye { get; } = new("client close request", null);

    public static SessionEnd Fatal(string message, string sqlState = "08P01") =>
        new(message, new ErrorFields("FATAL", sqlState, message, null, null));

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
                Detail = failure.Detail ?? "The transaction was not committed.",
                Hint = failure.Hint ?? "Connect again and run it from its beginning.",
            },
            _ => failure,
        };
        return new SessionEnd(failure.Message, failure);
    }

    /// <summary>We end it ourselves while something is under way that may be committed all the same: its own words first, then that.</summary>
    public SessionEnd InDoubt() => Error is { } error && error.SqlState != Unknown ? this with { Error = Doubted(error) } : this;

    private static ErrorFields Doubted(ErrorFields error) => error with
    {
        SqlState = Unknown,
        Message = $"{error.Message} (the outcome of the request is unknown)",
        Detail = "It was sent to the server and not answered: it may or may not have been committed.",
        Hint = "Look whether its changes are there before you run it again.",
    };
}
