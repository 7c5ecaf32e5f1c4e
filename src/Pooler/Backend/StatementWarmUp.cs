using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// The statements that a new server is given ahead of its first client. Each is prepared in a transaction of its own, in one
/// flush with the others: one that fails is not there.
/// </summary>
internal sealed class StatementWarmUp
{
    // A Parse waits for whoever changes a table of its own (ALTER TABLE); the clients of this server shall not.
    private static readonly byte[] NoWait = [.. "SELECT pg_catalog.set_config('lock_timeout','1ms',true)"u8, 0, 0, 0];

    private readonly ServerConnection _server;
    private readonly Queue<ServerStatement> _asked = [];
    private bool _hasFailed;

    private StatementWarmUp(ServerConnection server) => _server = server;

    /// <param name="statements">The most used first.</param>
    public static StatementWarmUp Send(ServerConnection server, ReadOnlySpan<PreparedStatement> statements, ReplyQueue replies)
    {
        var warmUp = new StatementWarmUp(server);
        warmUp.Parse(replies, [], NoWait);
        for (int i = statements.Length - 1; i >= 0; i--)
        {
            // The last one is the latest used in the server's record: it is evicted last.
            PreparedStatement statement = statements[i];
            StatementMessages.WriteRunUnnamed(server.Outbox);
            replies.Push(ReplyKind.Bind, ReplyUse.Swallow);
            replies.Push(ReplyKind.Execute, ReplyUse.Swallow);
            ServerStatement there = server.Statements.Add(statement, statement.UsualName ?? statement.OwnName);
            warmUp.Parse(replies, there.Name, statement.Body);
            warmUp.Sync(replies);
            warmUp._asked.Enqueue(there);
        }

        StatementMessages.WriteClose(server.Outbox, []);
        replies.Push(ReplyKind.Close, ReplyUse.Swallow);
        warmUp.Sync(replies);
        server.Outbox.Flush();
        return warmUp;
    }

    /// <summary>An ErrorResponse came.</summary>
    public void Failed() => _hasFailed = true;

    /// <summary>A ReadyForQuery came.</summary>
    public void Ready()
    {
        if (_asked.TryDequeue(out ServerStatement? there) && _hasFailed)
        {
            _server.Statements.Forget(there);
        }

        _hasFailed = false;
    }

    private void Parse(ReplyQueue replies, ReadOnlySpan<byte> name, byte[] body)
    {
        StatementMessages.WriteParse(_server.Outbox, name, body);
        replies.Push(ReplyKind.Parse, ReplyUse.Swallow);
    }

    private void Sync(ReplyQueue replies)
    {
        new MessageWriter(_server.Outbox).WriteSync();
        replies.Push(ReplyKind.Sync, ReplyUse.Swallow);
    }
}
