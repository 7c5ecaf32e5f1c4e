using Pooler.Backend;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Whether a request that may have run to its end, unseen, may run once more: only if it changes nothing. Asked when a server is
/// lost, of the bytes that are still there.
/// </summary>
internal readonly struct RereadCheck(ClientSession session, ClientStatements statements)
{
    private readonly RequestClassifier _classifier = new(session);
    private readonly VolatileNames _names = session.Pool.ByHost?.Cluster.Catalogue.Names ?? VolatileNames.Unknown;

    /// <param name="request">Whole messages.</param>
    public bool IsRead(ReadOnlySpan<byte> request)
    {
        for (; request.Length >= FrameHeader.Size; request = request[(int)FrameHeader.FrameLength(request)..])
        {
            ReadOnlySpan<byte> body = request[FrameHeader.Size..(int)FrameHeader.FrameLength(request)];
            bool isRead = request[0] switch
            {
                FrontendMessage.Query => IsReadText(body),
                FrontendMessage.Parse => IsReadText(body[(body.IndexOf((byte)0) + 1)..]),
                FrontendMessage.Bind => UsesRead(body),
                FrontendMessage.Describe or FrontendMessage.Execute or FrontendMessage.Close or FrontendMessage.Flush or FrontendMessage.Sync => true,
                _ => false,
            };
            if (!isRead)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Of the unnamed statement its Parse is there too.</summary>
    private bool UsesRead(ReadOnlySpan<byte> bind) => StatementName.Find(FrontendMessage.Bind, bind, out int start, out int length)
        && (length == 0 || (statements.TryFind(bind.Slice(start, length), out _, out PreparedStatement? statement) && IsReadText(statement.Text)));

    private bool IsReadText(ReadOnlySpan<byte> text)
    {
        RouteRequest told = _classifier.ClassifyText(text, _names);
        return !told.IsUnknown && told.Step is TransactionStep.None or TransactionStep.Begin && told.Class <= StatementClass.Transaction;
    }
}
