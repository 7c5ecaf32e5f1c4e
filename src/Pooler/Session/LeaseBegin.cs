using Pooler.Backend;
using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>How a server becomes what its client left: settings that differ are set before anything of the client runs.</summary>
internal static class LeaseBegin
{
    /// <summary>
    /// Writes the queries it takes and pushes their replies, which the client does not see. True when their answer must be waited
    /// for; else they go in one flush with the client's bytes (architecture rule 9), or there are none.
    /// </summary>
    public static bool Write(ServerConnection server, ClientSession session, ReplyQueue replies, bool mapsNames)
    {
        string? changes = session.Parameters.ChangesFrom(server.Parameters, server.LoginParameters, server.IsReadOnly, out bool allReported);
        StartupParameters wanted = session.Unreported;
        if (!wanted.Matches(server.Startup!))
        {
            if (server.Startup!.ResetsFor(wanted) is { } resets)
            {
                Write(server, replies, resets); // A query of its own: should it fail, that is not this client's doing.
            }

            changes += wanted.SetsFrom(server.Startup!); // "" at least: its own ReadyForQuery is waited for.
            changes += server.IsReadOnly ? $"SET {SessionParameters.ReadOnlyName} TO on;" : ""; // PostgreSQL before 14 does not report it.
            server.Startup = null;
            allReported = false;
        }

        if (server.Statements.Count > 0 && !mapsNames)
        {
            changes += "DEALLOCATE ALL;"; // Names of this client pass as they are: it must not meet those of others.
            allReported = false;
        }

        if (changes == null)
        {
            return false;
        }

        Write(server, replies, changes);
        return !allReported;
    }

    /// <summary>The client has reset settings: in PostgreSQL that brings back those of its startup packet.</summary>
    public static void Restore(ServerConnection server, ClientSession session, ReplyQueue replies)
    {
        server.Startup = null;
        Send(server, replies, session.Startup.RestoreQuery(session.Pool.Key.User));
    }

    /// <summary>Sends a query of ours.</summary>
    public static void Send(ServerConnection server, ReplyQueue replies, string query)
    {
        Write(server, replies, query);
        server.Outbox.Flush();
    }

    private static void Write(ServerConnection server, ReplyQueue replies, string query)
    {
        replies.Push(ReplyKind.Query, ReplyUse.Swallow);
        new MessageWriter(server.Outbox).WriteQuery(query);
    }
}
