using System.Globalization;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>
/// What is told to a client can be found in the log: the end of DETAIL, which drivers show, is the name its connection has there (and in
/// SHOW CLIENTS), which no other connection has, not of another process either, and the time.
/// </summary>
internal static class ErrorTrail
{
    /// <summary>The error as its client gets it.</summary>
    public static ErrorFields For(Connection client, ErrorFields error)
    {
        string trail = string.Create(CultureInfo.InvariantCulture, $"In the log: C-0x{client.Id:x}, {DateTime.UtcNow:yyyy-MM-dd HH:mm:ss.fff} UTC.");
        return error with { Detail = error.Detail is { Length: > 0 } detail ? $"{detail} {trail}" : trail };
    }

    public static void Write(Connection client, ErrorFields error)
    {
        error = For(client, error);
        new MessageWriter(client.Outbox).WriteErrorResponse(error.Severity, error.SqlState, error.Message, error.Detail, error.Hint);
    }
}
