using System.Text;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>A whole request of one statement that we answer ourselves: a Query, or a batch with its Parse up to Sync.</summary>
internal readonly ref struct PoolerRequest
{
    private const int TextOid = 25;

    private readonly ReadOnlySpan<byte> _data;

    private PoolerRequest(PoolerRequestState state, ReadOnlySpan<byte> data, PoolerStatement statement)
    {
        State = state;
        _data = data;
        Statement = statement;
    }

    public PoolerRequestState State { get; }

    public PoolerStatement Statement { get; }

    public int Length => _data.Length;

    /// <summary>Looks at the request in front of what a client has sent. A cheap question for all that are not ours.</summary>
    public static PoolerRequest Find(ReadOnlySpan<byte> data, bool hasConformingStrings)
    {
        if (!TryText(data, out ReadOnlySpan<byte> text, out bool isNamed) || !PoolerStatement.IsLikely(text))
        {
            return default;
        }

        PoolerStatement statement = PoolerStatement.Read(text, hasConformingStrings);
        if (statement.Command == PoolerCommand.None)
        {
            return default;
        }

        int length = (int)FrameHeader.FrameLength(data);
        if (data[0] == FrontendMessage.Query)
        {
            return new PoolerRequest(PoolerRequestState.Whole, data[..length], statement);
        }

        bool isMixed = isNamed;
        while (data.Length - length >= FrameHeader.Size)
        {
            ReadOnlySpan<byte> rest = data[length..];
            long next = FrameHeader.FrameLength(rest);
            if (next < FrameHeader.Size || next > rest.Length)
            {
                break;
            }

            length += (int)next;
            if (rest[0] == FrontendMessage.Sync)
            {
                return new PoolerRequest(isMixed ? PoolerRequestState.Mixed : PoolerRequestState.Whole, data[..length], statement);
            }

            isMixed |= rest[0] is not (FrontendMessage.Bind or FrontendMessage.Describe or FrontendMessage.Execute or FrontendMessage.Close)
                || (StatementName.Find(rest[0], rest[FrameHeader.Size..(int)next], out _, out int nameLength) && nameLength > 0);
            if (isMixed)
            {
                return new PoolerRequest(PoolerRequestState.Mixed, data[..length], statement);
            }
        }

        bool isFull = data.Length >= BlockPool.BlockSize;
        return new PoolerRequest(isFull ? PoolerRequestState.Mixed : PoolerRequestState.Part, data, statement);
    }

    /// <summary>Answers it, message by message.</summary>
    /// <param name="column">Of the rows; null when there are none.</param>
    /// <param name="error">In the place of an answer, once it would run.</param>
    public void Answer(Outbox outbox, byte status, string tag, string? column, IEnumerable<string> rows, ErrorFields? error)
    {
        var writer = new MessageWriter(outbox);
        ReadOnlySpan<byte> rest = _data;
        bool hasFailed = false;
        while (!rest.IsEmpty)
        {
            byte type = rest[0];
            bool isStatement = type == FrontendMessage.Describe && rest[FrameHeader.Size] == 'S';
            rest = rest[(int)FrameHeader.FrameLength(rest)..];
            if (hasFailed && type != FrontendMessage.Sync)
            {
                continue;
            }

            bool runs = type is FrontendMessage.Query or FrontendMessage.Execute;
            if (isStatement)
            {
                writer.WriteParameterDescription();
            }

            if (type == FrontendMessage.Parse)
            {
                writer.WriteParseComplete();
            }
            else if (type == FrontendMessage.Bind)
            {
                writer.WriteBindComplete();
            }
            else if (type == FrontendMessage.Close)
            {
                writer.WriteCloseComplete();
            }
            else if (runs && error != null)
            {
                hasFailed = true;
                writer.WriteErrorResponse(error.Severity, error.SqlState, error.Message, error.Detail, error.Hint);
            }
            else if (type is FrontendMessage.Describe or FrontendMessage.Query && column != null)
            {
                writer.WriteRowDescription(new ColumnDescription(column, TextOid, -1));
            }
            else if (type == FrontendMessage.Describe)
            {
                writer.WriteNoData();
            }

            if (runs && !hasFailed)
            {
                foreach (string row in rows)
                {
                    writer.WriteDataRow(row);
                }

                writer.WriteCommandComplete(tag);
            }

            if (type is FrontendMessage.Sync or FrontendMessage.Query)
            {
                writer.WriteReadyForQuery(status);
            }
        }
    }

    private static bool TryText(ReadOnlySpan<byte> data, out ReadOnlySpan<byte> text, out bool isNamed)
    {
        text = default;
        isNamed = false;
        long length = data.Length < FrameHeader.Size ? 0 : FrameHeader.FrameLength(data);
        if (length <= FrameHeader.Size || length > data.Length || data[0] is not (FrontendMessage.Query or FrontendMessage.Parse))
        {
            return false;
        }

        text = data[FrameHeader.Size..(int)length];
        if (data[0] == FrontendMessage.Parse)
        {
            int end = text.IndexOf((byte)0);
            isNamed = end > 0;
            text = text[(end + 1)..];
            int zero = text.IndexOf((byte)0);
            text = zero < 0 ? text : text[..zero];
        }

        return true;
    }
}
