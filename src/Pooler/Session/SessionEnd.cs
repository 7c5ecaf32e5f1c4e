using Pooler.Backend;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Why a session ends: what the log says, and what the client is told (nothing when it left by itself).</summary>
internal sealed record SessionEnd(string Reason, ErrorFields? Error)
{
    public static SessionEnd Quiet(string reason) => new(reason, null);

    public static SessionEnd Fatal(string message, string sqlState = "08P01") =>
        new(message, new ErrorFields("FATAL", sqlState, message, null, null));

    /// <summary>
    /// The server died under the client: in its own words when it had any, else as 08007 when something was under way, since
    /// nobody knows whether it was done.
    /// </summary>
    public static SessionEnd OverServer(ServerConnection server, bool awaitsReplies)
    {
        ErrorFields failure = server.Failure!;
        if (server.FrameRemaining > 0)
        {
            return Quiet(failure.Message); // The client would take our words for the rest of its row.
        }

        if (awaitsReplies && failure.SqlState is "08006" or "08P01")
        {
            failure = failure with { SqlState = "08007", Message = $"{failure.Message} (the outcome of the request is unknown)" };
        }

        return new SessionEnd(failure.Message, failure with { Severity = "FATAL" });
    }
}
