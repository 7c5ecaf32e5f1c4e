using Pooler.Backend;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// Whether a request that may have run to its end, unseen, may run once more: only if it changes nothing. Asked when a server is
/// lost, of the bytes that are still there.
/// </summary>
internal static class RereadCheck
{
    public static bool IsRead(ReadOnlySpan<byte> request, ClientStatements statements, in ClassifierContext context)
    {
        for (; request.Length >= FrameHeader.Size; request = request[(int)FrameHeader.FrameLength(request)..])
        {
            ReadOnlySpan<byte> body = request[FrameHeader.Size..(int)FrameHeader.FrameLength(request)];
            bool isRead = request[0] switch
            {
                FrontendMessage.Query => IsRead(body, context),
                FrontendMessage.Parse => IsRead(body[(body.IndexOf((byte)0) + 1)..], context),
                FrontendMessage.Bind => UsesRead(body, statements, context),
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
    private static bool UsesRead(ReadOnlySpan<byte> bind, ClientStatements statements, in ClassifierContext context)
    {
        if (!StatementName.Find(FrontendMessage.Bind, bind, out int start, out int length))
        {
            return false;
        }

        return length == 0 || (statements.TryFind(bind.Slice(start, length), out _, out PreparedStatement? statement) && IsRead(statement.Text, context));
    }

    private static bool IsRead(ReadOnlySpan<byte> text, in ClassifierContext context)
    {
        StatementSummary summary = StatementClassifier.Classify(text, context);
        return !summary.IsSeveral && (summary.Class == StatementClass.Read || summary is { Class: StatementClass.Transaction, Step: TransactionStep.Begin });
    }
}
