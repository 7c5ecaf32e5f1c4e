using Pooler.Backend;
using Pooler.Errors;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// What a server answers to queries of ours, which its client does not see: those that bring it to the client's settings (step 7), and
/// the question of what keeps the client on it.
/// </summary>
internal sealed class OwnReplies(ClientSession session, Exchange exchange, ReplyQueue replies)
{
    private ErrorFields? _error;

    /// <summary>Takes a frame; of a ReadyForQuery the server has its status already.</summary>
    public void Take(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        if (exchange.Pins.IsAsking)
        {
            TakePins(server, type, body);
            return;
        }

        if (type == BackendMessage.CommandComplete && body.Length > 0 && CommandTag.DropsStatements(body[..^1]))
        {
            server.Statements.Clear();
        }
        else if (type == BackendMessage.ErrorResponse)
        {
            _error = ErrorFields.Parse(body);
        }
        else if (type == BackendMessage.ReadyForQuery)
        {
            bool isAlone = session.Phase == SessionPhase.Syncing;
            if (_error != null || (isAlone && server.Status != 'I'))
            {
                EndOverRefusedSync(server);
            }
            else if (isAlone && replies.Count > 0)
            {
                server.Startup = StartupParameters.Empty; // Its RESETs are done; what this client wants follows.
            }
            else
            {
                // What was accepted without a report is what the server had all along, in its own spelling.
                session.Parameters = SessionParameters.TakenBy(server.Parameters, session.Parameters, server.IsReadOnly);
                server.Startup = session.Unreported;
                exchange.SettingsTaken();
            }
        }
    }

    /// <summary>A reply to the question of what keeps the client on its server.</summary>
    private void TakePins(ServerConnection server, byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case BackendMessage.DataRow:
                exchange.Pins.Read(body);
                break;
            case BackendMessage.ErrorResponse:
                exchange.Pins.Refused();
                break;
            case BackendMessage.ReadyForQuery:
                exchange.Pins.Answered(server);
                exchange.SettingsTaken();
                break;
        }
    }

    private void EndOverRefusedSync(ServerConnection server)
    {
        ErrorFields error = (_error ?? SessionErrors.SettingsNotTaken.Fields()) with { Severity = "FATAL" };
        _error = null;
        if (session.Phase == SessionPhase.Syncing && replies.Count > 0)
        {
            // The RESETs, which are of another client's doing.
            if (!exchange.TryAnotherServer(server, error))
            {
                session.End(SessionEnd.Over(Explained(server, error)));
                server.Close(error);
            }

            return;
        }

        if (session.Phase == SessionPhase.Syncing)
        {
            // Nothing of the request was sent: the server is as it was, or as its RESETs have left it.
            session.End(SessionEnd.Over(Explained(server, error)));
            return;
        }

        // The request went along with values this server itself had reported; it may have run.
        server.Close(ServerErrors.Violation.Fields("the server refused settings it had reported itself"));
        session.End(SessionEnd.Over(SessionErrors.SettingsRefused.Because($"It was sent to {server.Host} together with the settings.", error.Message)));
    }

    private static ErrorFields Explained(ServerConnection server, ErrorFields error) => error with
    {
        Detail = $"{(error.Detail is { } detail ? detail + " " : "")}{server.Host} said so to the settings that follow the client; nothing of its request was sent.",
        Hint = error.Hint ?? SessionErrors.SettingsNotTaken.Advice,
    };
}
