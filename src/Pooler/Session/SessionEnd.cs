using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>Why a session ends: what the log says, and what the client is told (nothing when it left by itself).</summary>
internal sealed record SessionEnd(string Reason, ErrorFields? Error)
{
    public static SessionEnd Quiet(string reason) => new(reason, null);

    public static SessionEnd Fatal(string message, string sqlState = "08P01") =>
        new(message, new ErrorFields("FATAL", sqlState, message, null, null));
}
